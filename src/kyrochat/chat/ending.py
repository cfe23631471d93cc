"""Ends an answer, whoever does it: its writer, a stop from any process, or the sweep after a crash.

The text is what the log holds, by construction: the deltas joined. Whoever deletes the lease row ends the answer,
and only one can.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import event
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.budgets import charge_key
from kyrochat.chat import log_repository as rows
from kyrochat.chat.events import AnswerEnded, CitationAdded, Quote, TextDelta
from kyrochat.db.changes import Changes, answer_topic, ended_topic
from kyrochat.db.models import Citation, Document, Message
from kyrochat.db.states import FinishReason, MessageStatus
from kyrochat.metrics import ANSWER_TOKENS, ANSWERS
from kyrochat.retrieval.types import Usage

# What an answer is counted as that ended before its provider said: about what eight passages take, and its text.
LEAST_TOKENS = 2_000
CHARS_PER_TOKEN = 4
# By then hardly anybody resumes; whoever does still can.
COMPACT_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer ends."""

    status: MessageStatus
    grounded: bool | None = None
    usage: Usage | None = None
    reason: str | None = None
    retryable: bool = False
    finish_reason: FinishReason | None = None
    history_trimmed: bool | None = None
    removed_citations: int | None = None
    follow_ups: tuple[str, ...] = ()


BROKEN = Ending(MessageStatus.FAILED, reason="Something went wrong on the server.", retryable=True)
"""The end of an answer that a bug broke; the log says more."""

BUSY = Ending(MessageStatus.FAILED, reason="The server is busy. Try again in a few seconds.", retryable=True)
"""The end of an answer whose question could not be looked into, since the database did not answer."""


async def end_answer(
    session: AsyncSession,
    changes: Changes,
    message_id: UUID,
    ending: Ending,
    *,
    token: UUID | None = None,
    expired: bool = False,
) -> bool:
    """Store text, citations, status and the last event, under the answer's lease. The session must see its workspace.

    With `token` only its holder's answer ends, with `expired` only one whose lease has run out.

    Returns:
        False when there is nothing to end: the answer has ended, or its lease is somebody else's.
    """
    if not await rows.lock_lease(session, message_id, token=token, expired=expired):
        return False
    message = (await session.exec(select(Message).where(Message.id == message_id))).one()
    entries = await rows.entries(session, message_id, 0)
    message.text = "".join(entry.event.text for entry in entries if isinstance(entry.event, TextDelta))
    message.status = ending.status
    message.grounded = ending.grounded
    message.finish_reason = ending.finish_reason
    message.history_trimmed = ending.history_trimmed
    message.removed_citations = ending.removed_citations
    message.follow_ups = list(ending.follow_ups)
    message.compact_log_at = datetime.now(UTC) + COMPACT_AFTER
    if ending.usage is not None:
        message.prompt_tokens = ending.usage.prompt_tokens
        message.completion_tokens = ending.usage.completion_tokens
    session.add(message)
    if message.api_key_id is not None:
        await charge_key(session, message.api_key_id, message.workspace_id, _tokens(message))
    quotes = [entry.event.citation for entry in entries if isinstance(entry.event, CitationAdded)]
    await _add_citations(session, message, quotes)
    end = AnswerEnded(ending.status, ending.reason, ending.retryable)
    await rows.add_entries(session, [(message_id, message.workspace_id, len(entries) + 1, end)])
    await rows.delete_lease(session, message_id)
    await changes.announce(session, [answer_topic(message_id), ended_topic(message_id)])
    event.listen(session.sync_session, "after_commit", lambda _: _count(ending), once=True)
    return True


def _count(ending: Ending) -> None:
    ANSWERS.labels(ending.status).inc()
    if ending.usage is not None:
        ANSWER_TOKENS.labels("prompt").inc(ending.usage.prompt_tokens)
        ANSWER_TOKENS.labels("completion").inc(ending.usage.completion_tokens)


def _tokens(message: Message) -> int:
    if message.prompt_tokens is not None and message.completion_tokens is not None:
        return message.prompt_tokens + message.completion_tokens
    # Cut off before its provider counted. For nothing, nobody would let an answer come to its end.
    return LEAST_TOKENS + len(message.text) // CHARS_PER_TOKEN


async def _add_citations(session: AsyncSession, message: Message, quotes: list[Quote]) -> None:
    # A document may have been purged while the answer was written: its quote stays, without the link.
    known = {quote.document_id for quote in quotes}
    query = select(Document.id).where(col(Document.id).in_(known)).with_for_update(key_share=True, read=True)
    existing = set(await session.exec(query)) if known else set()
    session.add_all(
        Citation(
            message_id=message.id,
            number=quote.number,
            workspace_id=message.workspace_id,
            document_id=quote.document_id if quote.document_id in existing else None,
            document_title=quote.document_title,
            document_version=quote.document_version,
            start=quote.start,
            end=quote.end,
            quote=quote.quote,
            page=quote.page,
        )
        for quote in quotes
    )
