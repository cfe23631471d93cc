"""A client for KyroChat. It needs nothing of the server's but this package.

from kyrochat.client import KyroChat

with KyroChat("http://127.0.0.1:8000", api_key="kck_…") as chat:
    for text in chat.ask("bot id", "When is the tower clock wound?"):
        print(text, end="")
"""

from kyrochat.client.answers import Answer
from kyrochat.client.asynchronous import AsyncKyroChat
from kyrochat.client.synchronous import KyroChat, SyncAnswer
from kyrochat.client.types import AnswerFailed, Bot, Citation, ConnectionLost, Document, KyroChatError, Passage

__all__ = [
    "Answer",
    "AnswerFailed",
    "AsyncKyroChat",
    "Bot",
    "Citation",
    "ConnectionLost",
    "Document",
    "KyroChat",
    "KyroChatError",
    "Passage",
    "SyncAnswer",
]
