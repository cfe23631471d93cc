"""All tables. Ids are UUIDv7 made by the application, so the order of ids is the order of creation.

Every tenant row carries `workspace_id`; foreign keys between tenant rows include it, because foreign key
checks bypass row-level security and a plain key would let one tenant hang a row on another's.
"""

from kyrochat.db.models.access import ApiKey, ApiKeyUsage, AuditEntry, Installation, Invitation
from kyrochat.db.models.accounts import PasswordReset, UsedRefreshToken, User, UserSession, Workspace, WorkspaceMember
from kyrochat.db.models.bots import Bot, BotLexicon, SearchVersion
from kyrochat.db.models.chat import AnswerEvent, AnswerLease, AnswerSearch, Citation, Conversation, Message
from kyrochat.db.models.documents import (
    SPARSE_DIMENSIONS,
    Chunk,
    ChunkLex,
    ChunkSalts,
    Document,
    DocumentDeletion,
    DocumentTag,
    DocumentVersion,
)
from kyrochat.db.models.evaluation import Evaluation, EvaluationQuestion, EvaluationResult, QuestionSet
from kyrochat.db.models.feedback import AnswerRating
from kyrochat.db.models.shares import ConversationShare
from kyrochat.db.models.tools import BotTool
from kyrochat.db.models.trusted import TrustedDocument
from kyrochat.db.models.vectors import ChunkVector, VectorSet
from kyrochat.db.models.web import Crawl, CrawlPage, WebPage
from kyrochat.db.models.work import Job

__all__ = [
    "SPARSE_DIMENSIONS",
    "AnswerEvent",
    "AnswerLease",
    "AnswerRating",
    "AnswerSearch",
    "ApiKey",
    "ApiKeyUsage",
    "AuditEntry",
    "Bot",
    "BotLexicon",
    "BotTool",
    "Chunk",
    "ChunkLex",
    "ChunkSalts",
    "ChunkVector",
    "Citation",
    "Conversation",
    "ConversationShare",
    "Crawl",
    "CrawlPage",
    "Document",
    "DocumentDeletion",
    "DocumentTag",
    "DocumentVersion",
    "Evaluation",
    "EvaluationQuestion",
    "EvaluationResult",
    "Installation",
    "Invitation",
    "Job",
    "Message",
    "PasswordReset",
    "QuestionSet",
    "SearchVersion",
    "TrustedDocument",
    "UsedRefreshToken",
    "User",
    "UserSession",
    "VectorSet",
    "WebPage",
    "Workspace",
    "WorkspaceMember",
]
