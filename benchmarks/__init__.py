"""Measurements that print a table: how well KyroChat finds and answers, and how fast against a baseline."""
