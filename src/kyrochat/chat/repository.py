"""Queries on conversations, messages and citations. Conversations are their user's own."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, text, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import AnswerLease, AnswerSearch, Bot, Citation, Conversation, Message
from kyrochat.db.states import MessageRole, MessageStatus, TitleOrigin


def own_conversations(viewer: Viewer) -> SelectOfScalar[Conversation]:
    """Return the query on what the viewer may see: his own, and for keys of web pages what such keys began."""
    query = (
        select(Conversation)
        .join(Bot, col(Bot.id) == Conversation.bot_id)
        .where(
            Conversation.user_id == viewer.user_id,
            viewer.reach.covers(Conversation),
            col(Bot.deleted_at).is_(None),
        )
    )
    # Whoever looks at a web page has its key: it must not lead to what its maker asks in private.
    return query.where(col(Conversation.is_public)) if viewer.key and viewer.key.is_public else query


async def conversation(
    session: AsyncSession, conversation_id: UUID, *, viewer: Viewer, for_update: bool = False
) -> Conversation | None:
    """Return the user's conversation: absent and somebody else's look the same."""
    query = own_conversations(viewer).where(Conversation.id == conversation_id)
    if for_update:
        query = query.with_for_update(of=Conversation)
    return (await session.exec(query)).one_or_none()


async def conversations(
    session: AsyncSession, conversation_ids: Sequence[UUID], *, viewer: Viewer
) -> Sequence[Conversation]:
    """Return those of the conversations that are the user's, in no order."""
    query = own_conversations(viewer).where(col(Conversation.id).in_(conversation_ids))
    return (await session.exec(query)).all()


async def entitle(session: AsyncSession, conversation_id: UUID, title: str, origin: TitleOrigin) -> bool:
    """Give a conversation a title; a generated one takes the place of a derived one only. False: it has another.

    That is no news: the time of the last question stays.
    """
    query = update(Conversation).where(col(Conversation.id) == conversation_id)
    if origin is TitleOrigin.GENERATED:
        query = query.where(col(Conversation.title_origin) == TitleOrigin.DERIVED)
    values = {"title": title, "title_origin": origin, "updated_at": Conversation.updated_at}
    return (await session.exec(query.values(values))).rowcount == 1


async def ids_of_user(session: AsyncSession, user_id: UUID, workspaces: Sequence[UUID], limit: int) -> Sequence[UUID]:
    """Return up to `limit` conversations of a user in these workspaces, deleted bots' included, and lock them."""
    query = select(Conversation.id).where(
        Conversation.user_id == user_id, col(Conversation.workspace_id).in_(workspaces)
    )
    return (await session.exec(query.limit(limit).with_for_update())).all()


async def end_leases(session: AsyncSession, conversation_ids: Sequence[UUID]) -> Sequence[UUID]:
    """Take the answers of these conversations from who writes them, and return their ids."""
    answers = select(Message.id).where(col(Message.conversation_id).in_(conversation_ids))
    query = delete(AnswerLease).where(col(AnswerLease.message_id).in_(answers)).returning(col(AnswerLease.message_id))
    return (await (await session.connection()).execute(query)).scalars().all()


async def delete_conversations(session: AsyncSession, conversation_ids: Sequence[UUID]) -> None:
    """Delete conversations with all that is in them."""
    await session.exec(delete(Conversation).where(col(Conversation.id).in_(conversation_ids)))


async def conversation_page(
    session: AsyncSession, bot_id: UUID, request: PageRequest, *, viewer: Viewer
) -> Page[Conversation]:
    """Return one page of the user's conversations with a bot, newest first; public ones are other people's."""
    query = own_conversations(viewer).where(Conversation.bot_id == bot_id, col(Conversation.is_public).is_(False))
    return await page(session, query, Conversation.id, request)


async def own_after(session: AsyncSession, after: UUID | None, limit: int, *, viewer: Viewer) -> Sequence[Conversation]:
    """Return up to `limit` conversations of the user, the oldest first; public ones are other people's."""
    query = own_conversations(viewer).where(col(Conversation.is_public).is_(False))
    if after is not None:
        query = query.where(col(Conversation.id) > after)
    return (await session.exec(query.order_by(col(Conversation.id)).limit(limit))).all()


async def conversation_count(session: AsyncSession, bot_id: UUID, *, viewer: Viewer) -> int:
    """Return how many conversations `conversation_page` leads through."""
    own = own_conversations(viewer).where(Conversation.bot_id == bot_id, col(Conversation.is_public).is_(False))
    return (await session.exec(select(func.count()).select_from(own.subquery()))).one()


async def messages(session: AsyncSession, message_ids: Sequence[UUID], *, viewer: Viewer) -> Sequence[Message]:
    """Return those of the messages that are in the user's conversations, in no order."""
    own = own_conversations(viewer).subquery()
    query = select(Message).join(own, own.c.id == Message.conversation_id).where(col(Message.id).in_(message_ids))
    return (await session.exec(query)).all()


async def message_page(session: AsyncSession, conversation_id: UUID, request: PageRequest) -> Page[Message]:
    """Return one page of a conversation's messages, newest first, by position."""
    query = select(Message).where(Message.conversation_id == conversation_id)
    return await page(session, query, Message.position, request)


async def messages_after(session: AsyncSession, conversation_id: UUID, position: int, limit: int) -> Sequence[Message]:
    """Return up to `limit` messages of a conversation that come after a position, in order."""
    query = select(Message).where(Message.conversation_id == conversation_id, Message.position > position)
    return (await session.exec(query.order_by(col(Message.position)).limit(limit))).all()


async def message_count(session: AsyncSession, conversation_id: UUID) -> int:
    """Return how many messages a conversation has."""
    return (await session.exec(select(func.count()).where(Message.conversation_id == conversation_id))).one()


async def exchange_by_key(session: AsyncSession, conversation_id: UUID, key: str) -> tuple[Message, Message] | None:
    """Return the question that was sent under an idempotency key, with its first answer; or the answer, with its
    question."""
    query = select(Message).where(Message.conversation_id == conversation_id, Message.idempotency_key == key)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        return None
    if found.role is MessageRole.ASSISTANT:
        return (await session.exec(select(Message).where(Message.id == found.parent_id))).one(), found
    answers = select(Message).where(Message.parent_id == found.id).order_by(col(Message.position)).limit(1)
    return found, (await session.exec(answers)).one()


async def last_message(session: AsyncSession, conversation_id: UUID) -> Message | None:
    """Return the newest message of a conversation."""
    query = (
        select(Message)
        .where(Message.conversation_id == conversation_id)
        .order_by(col(Message.position).desc())
        .limit(1)
    )
    return (await session.exec(query)).one_or_none()


async def message_in(session: AsyncSession, conversation_id: UUID, message_id: UUID) -> Message | None:
    """Return the message if it is of that conversation."""
    query = select(Message).where(Message.id == message_id, Message.conversation_id == conversation_id)
    return (await session.exec(query)).one_or_none()


async def streaming(session: AsyncSession, conversation_id: UUID) -> Sequence[UUID]:
    """Return the answers of the conversation that are being written: one at most."""
    query = select(Message.id).where(
        Message.conversation_id == conversation_id, Message.status == MessageStatus.STREAMING
    )
    return (await session.exec(query)).all()


async def history(session: AsyncSession, message_id: UUID, limit: int) -> list[tuple[MessageRole, str]]:
    """Return (role, text) of the last `limit` messages up to and with `message_id`, along its branch, oldest first."""
    rows = await (await session.connection()).execute(_BRANCH, {"message_id": message_id, "limit": limit})
    return [(MessageRole(row.role), row.text) for row in rows][::-1]


_BRANCH = text("""
    WITH RECURSIVE branch AS (
        SELECT id, parent_id, role, text, 1 AS step FROM messages WHERE id = :message_id
        UNION ALL
        SELECT up.id, up.parent_id, up.role, up.text, branch.step + 1
        FROM messages AS up JOIN branch ON up.id = branch.parent_id
        WHERE branch.step < :limit
    )
    SELECT role, text FROM branch ORDER BY step
""")


async def citations(session: AsyncSession, message_ids: Sequence[UUID], *, viewer: Viewer) -> Sequence[Citation]:
    """Return the citations of those of the messages that are in the user's conversations, by message and number."""
    own = own_conversations(viewer).subquery()
    query = (
        select(Citation)
        .join(Message, col(Message.id) == Citation.message_id)
        .join(own, own.c.id == Message.conversation_id)
        .where(col(Citation.message_id).in_(message_ids))
        .order_by(col(Citation.message_id), col(Citation.number))
    )
    return (await session.exec(query)).all()


async def shown_citations(session: AsyncSession, answer_ids: Sequence[UUID]) -> Sequence[Citation]:
    """Return the citations of answers, by answer and number. The caller knows that the viewer may see them."""
    query = select(Citation).where(col(Citation.message_id).in_(answer_ids))
    return (await session.exec(query.order_by(col(Citation.message_id), col(Citation.number)))).all()


async def searches(session: AsyncSession, message_ids: Sequence[UUID], *, viewer: Viewer) -> Sequence[AnswerSearch]:
    """Return the searches for those of the messages that are in the user's conversations, in order."""
    own = own_conversations(viewer).subquery()
    query = (
        select(AnswerSearch)
        .join(Message, col(Message.id) == AnswerSearch.message_id)
        .join(own, own.c.id == Message.conversation_id)
        .where(col(AnswerSearch.message_id).in_(message_ids))
        .order_by(col(AnswerSearch.message_id), col(AnswerSearch.sequence), col(AnswerSearch.place))
    )
    return (await session.exec(query)).all()


async def add_lease(session: AsyncSession, answer: Message, token: UUID, lease: timedelta) -> None:
    """Note that the holder of `token` writes the answer, until `lease` from the database's now."""
    await session.flush()
    row = {"message_id": answer.id, "workspace_id": answer.workspace_id, "token": token}
    await (await session.connection()).execute(insert(AnswerLease).values(**row, leased_until=func.now() + lease))
