"""Conversations as they are left behind: each way an answer can end, and one that is still being written."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.tokens import SHARE_PREFIX, new_secret, secret_hash
from kyrochat.chat.events import (
    AnswerEnded,
    AnswerEvent,
    CitationAdded,
    PassagesFound,
    Quote,
    TextDelta,
    ToolCalled,
    to_row,
)
from kyrochat.db.columns import new_id
from kyrochat.db.models import AnswerEvent as EventRow
from kyrochat.db.models import (
    AnswerLease,
    AnswerRating,
    AnswerSearch,
    Bot,
    Citation,
    Conversation,
    ConversationShare,
    Document,
    Message,
)
from kyrochat.db.states import MessageRole, MessageStatus, Rating
from kyrochat.graphql.ids import global_id
from kyrochat.retrieval.search_settings import DocumentFilter, Leg, MetadataCondition, UsedSettings
from kyrochat.retrieval.trace import (
    Candidate,
    Fate,
    FoundPassage,
    LegReport,
    LegScore,
    LegStatus,
    SearchTrace,
    Step,
)
from kyrochat.retrieval.types import Passage

ENDINGS = (MessageStatus.COMPLETED, MessageStatus.STOPPED, MessageStatus.INTERRUPTED, MessageStatus.FAILED)


async def add_talks(
    session: AsyncSession, bot: Bot, document: Document, user_id: UUID, word: str, *, is_public: bool = False
) -> dict[str, str]:
    """Add a conversation with an answer of each ending, and one with an answer under way; return their ids by name."""
    owned: dict[str, Any] = {"workspace_id": bot.workspace_id, "bot_id": bot.id, "user_id": user_id}
    # The one that there is more to see in is the newer one, which lists of one show.
    live, ended = (
        Conversation(**owned, is_public=is_public, title=f"About the {word}, {what}") for what in ("live", "ended")
    )
    session.add_all([ended, live])
    await session.flush()
    things = {"Conversation": _id("Conversation", ended.id), "LiveConversation": _id("Conversation", live.id)}
    before: Message | None = None
    for turn, status in enumerate(ENDINGS):
        question, answer = await _add_exchange(session, ended, turn, status, word, document, before)
        before = answer
        if status is MessageStatus.COMPLETED:
            things["Question"], things["Answer"] = _id("Message", question.id), _id("Message", answer.id)
            session.add(
                AnswerRating(
                    **owned,
                    message_id=answer.id,
                    rating=Rating.DOWN,
                    comment=f"The {word} does not sleep.",
                )
            )
            if not is_public:  # visitors of a page have no links to give
                things |= await _add_share(session, ended, answer)
        else:
            if status is MessageStatus.STOPPED:
                session.add(AnswerRating(**owned, message_id=answer.id, comment=f"The {word} does."))
            things[f"{status.capitalize()}Answer"] = _id("Message", answer.id)
    _, answer = await _add_exchange(session, live, 0, MessageStatus.STREAMING, word, document)
    # Nobody writes it in this process, and nobody sweeps it while the tests run.
    session.add(
        AnswerLease(
            message_id=answer.id,
            workspace_id=bot.workspace_id,
            token=new_id(),
            leased_until=datetime.now(UTC) + timedelta(days=1),
        )
    )
    things["LiveAnswer"] = _id("Message", answer.id)
    return things


async def _add_share(session: AsyncSession, conversation: Conversation, leaf: Message) -> dict[str, str]:
    token = new_secret(SHARE_PREFIX)
    share = ConversationShare(
        workspace_id=conversation.workspace_id,
        conversation_id=conversation.id,
        leaf_id=leaf.id,
        title=conversation.title,
        token_hash=secret_hash(token),
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    session.add(share)
    await session.flush()
    return {"Share": _id("Share", share.id), "shareToken": token}


async def _add_exchange(
    session: AsyncSession,
    conversation: Conversation,
    turn: int,
    status: MessageStatus,
    word: str,
    document: Document,
    before: Message | None = None,
) -> tuple[Message, Message]:
    of: dict[str, Any] = {"workspace_id": conversation.workspace_id, "conversation_id": conversation.id}
    parent_id = before.id if before else None
    question = Message(**of, parent_id=parent_id, position=2 * turn + 1, text=f"Where does the {word} sleep?")
    session.add(question)
    await session.flush()
    has_ended = status is not MessageStatus.STREAMING
    text = f"The {word} sleeps in the bank [1]."
    answer = Message(
        **of,
        parent_id=question.id,
        position=2 * turn + 2,
        role=MessageRole.ASSISTANT,
        status=status,
        text=text if has_ended else "",
        grounded=True if has_ended else None,
        model="offline",
        prompt_tokens=11 if has_ended else None,
        completion_tokens=7 if has_ended else None,
    )
    session.add(answer)
    await session.flush()
    quote = Quote(1, document.id, document.title, 1, 0, 11, f"The {word}...")
    passage = Passage(new_id(), document.id, document.title, 1, 0, 11, f"The {word} sleeps.", 1.0, None, None)
    events: list[AnswerEvent] = [
        PassagesFound((passage,)),
        ToolCalled("search_documents", {"query": text}, (passage,)),
        CitationAdded(quote),
        TextDelta(text),
    ]
    if has_ended:
        why = f"The {word} has flown." if status is MessageStatus.FAILED else None
        events.append(AnswerEnded(status, why, retryable=why is not None))
        session.add(
            Citation(
                message_id=answer.id,
                workspace_id=conversation.workspace_id,
                number=1,
                document_id=document.id,
                document_title=document.title,
                document_version=1,
                start=0,
                end=11,
                quote=quote.quote,
            )
        )
    session.add(_search(answer, passage, question.text))
    for sequence, event in enumerate(events, 1):
        kind, data = to_row(event)
        session.add(
            EventRow(
                message_id=answer.id, workspace_id=conversation.workspace_id, sequence=sequence, kind=kind, data=data
            )
        )
    await session.flush()
    return question, answer


def _search(answer: Message, passage: Passage, question: str) -> AnswerSearch:
    place = (passage.document_id, passage.document_version, passage.start, passage.end)
    trace = SearchTrace(
        question,
        UsedSettings(top_k=8, filter=DocumentFilter(metadata=(MetadataCondition("year", exists=False),))),
        legs=(LegReport(Leg.LEXICAL, LegStatus.OK, candidates=1), LegReport(Leg.DENSE, LegStatus.OFF, "Not set up.")),
        candidates=(Candidate(passage.chunk_id, *place, 1, 0.5, 1.0, Fate.KEPT, lexical=LegScore(1.0, 1)),),
        candidate_count=1,
        passages=(FoundPassage(*place, 0.5, (passage.chunk_id,)),),
        steps=(Step("fusion", 0.1),),
    )
    return AnswerSearch(
        message_id=answer.id, workspace_id=answer.workspace_id, sequence=1, place=1, trace=trace.to_json()
    )


def _id(kind: str, row_id: UUID) -> str:
    return str(global_id(kind, row_id))
