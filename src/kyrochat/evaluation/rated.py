"""The query of what users asked and found well answered."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession


@dataclass(frozen=True, slots=True)
class RatedQuestion:
    """A question whose answer somebody rated UP, and the documents that this cites and that are there."""

    text: str
    document_ids: tuple[UUID, ...]
    asked_by: UUID


async def rated_questions(session: AsyncSession, bot_id: UUID, limit: int) -> list[RatedQuestion]:
    """Return questions of a bot with an answer that is rated UP, and not DOWN as well, the oldest first."""
    rows = await (await session.connection()).execute(_RATED, {"bot_id": bot_id, "limit": limit})
    return [RatedQuestion(row.text, tuple(row.document_ids), row.user_id) for row in rows]


# The newest of those that ask the same word by word. What was asked with a key of a web page is nobody's we know, whose
# words could go when an account does.
_RATED = text("""
    SELECT * FROM (
        SELECT DISTINCT ON (lower(question.text)) question.id, question.text, conversation.user_id,
            array_agg(DISTINCT citation.document_id) AS document_ids
        FROM answer_ratings AS rating
        JOIN messages AS answer ON answer.id = rating.message_id
        JOIN messages AS question ON question.id = answer.parent_id
        JOIN conversations AS conversation ON conversation.id = answer.conversation_id
        JOIN citations AS citation ON citation.message_id = answer.id
        JOIN documents AS document ON document.id = citation.document_id AND document.deleted_at IS NULL
        WHERE rating.bot_id = :bot_id AND rating.rating = 'UP' AND NOT conversation.is_public
          AND NOT EXISTS (
            SELECT 1 FROM answer_ratings AS other WHERE other.message_id = answer.id AND other.rating = 'DOWN'
          )
        GROUP BY question.id, question.text, conversation.user_id
        ORDER BY lower(question.text), question.id DESC
    ) AS asked
    ORDER BY id
    LIMIT :limit
""")
