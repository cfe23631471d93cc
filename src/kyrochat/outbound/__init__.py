"""The way out to servers of others: addresses in one form, checked networks, bounded requests."""
