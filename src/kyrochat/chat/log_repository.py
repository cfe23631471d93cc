"""Queries on the answer log and its leases."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Integer, Text, Uuid
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.chat.events import AnswerEvent, LogEntry, PassagesFound, ToolCalled, from_row, to_row
from kyrochat.db.models import AnswerEvent as AnswerEventRow
from kyrochat.db.models import AnswerSearch

# (message, workspace, sequence, event)
NewEntry = tuple[UUID, UUID, int, AnswerEvent]


async def entries(session: AsyncSession, message_id: UUID, after: int, limit: int | None = None) -> list[LogEntry]:
    """Return the entries after `after`, in order. Of a compacted one that `after` is in the middle of, the rest."""
    query = (
        select(AnswerEventRow)
        .where(AnswerEventRow.message_id == message_id, AnswerEventRow.sequence > after)
        .order_by(col(AnswerEventRow.sequence))
        .limit(limit)
    )
    return [LogEntry(row.sequence, from_row(row.kind, _rest(row.data, after))) for row in await session.exec(query)]


def _rest(data: Mapping[str, Any], after: int) -> Mapping[str, Any]:
    """Return the data of an event without what a reader has that has seen all up to `after`."""
    seen = after + 1 - data["first"] if "first" in data else 0
    return data if seen <= 0 else {"text": data["text"][sum(data["lengths"][:seen]) :]}


async def add_entries(session: AsyncSession, new: Sequence[NewEntry]) -> None:
    """Insert entries. Those that are there already are the same ones: sent again."""
    if not new:
        return
    connection = await session.connection()
    await connection.execute(_ADD, _columns(new))
    await _add_searches(connection, new)


async def add_held_entries(session: AsyncSession, tokens: Mapping[UUID, UUID], new: Sequence[NewEntry]) -> set[UUID]:
    """Insert the entries of messages whose lease is held by their token, as `add_entries` does, and return these
    messages; until the transaction ends nobody can end them."""
    connection = await session.connection()
    held = set((await connection.execute(_ADD_HELD, {**_pairs(tokens), **_columns(new)})).scalars())
    await _add_searches(connection, [entry for entry in new if entry[0] in held])
    return held


def _columns(new: Sequence[NewEntry]) -> dict[str, Any]:
    kinds_and_data = [to_row(event) for _, _, _, event in new]
    return {
        "ids": [message_id for message_id, _, _, _ in new],
        "workspaces": [workspace_id for _, workspace_id, _, _ in new],
        "sequences": [sequence for _, _, sequence, _ in new],
        "kinds": [kind for kind, _ in kinds_and_data],
        "data": [data for _, data in kinds_and_data],
    }


async def _add_searches(connection: AsyncConnection, new: Sequence[NewEntry]) -> None:
    searches = [
        AnswerSearch(message_id=message, workspace_id=workspace, sequence=sequence, place=n, trace=trace.to_json())
        for message, workspace, sequence, event in new
        if isinstance(event, PassagesFound | ToolCalled)
        for n, trace in enumerate(event.searches, start=1)
    ]
    if searches:
        await connection.execute(_ADD_SEARCH, [each.model_dump() for each in searches])


_LEASES = (bindparam("messages", type_=ARRAY(Uuid)), bindparam("tokens", type_=ARRAY(Uuid)))
_COLUMNS = (
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("workspaces", type_=ARRAY(Uuid)),
    bindparam("sequences", type_=ARRAY(Integer)),
    bindparam("kinds", type_=ARRAY(Text)),
    bindparam("data", type_=ARRAY(JSONB)),
)
_ADD = text("""
    INSERT INTO answer_events (message_id, workspace_id, sequence, kind, data)
    SELECT * FROM unnest(:ids, :workspaces, :sequences, :kinds, :data)
    ON CONFLICT (message_id, sequence) DO NOTHING
""").bindparams(*_COLUMNS)
# One statement: each is a round trip for all streams of the process, many times a second.
# The key-share lock stops the deletion that ends an answer, and lets the heartbeat's update through.
_ADD_HELD = text("""
    WITH held AS (
        SELECT lease.message_id FROM answer_leases AS lease
        JOIN unnest(:messages, :tokens) AS ours (message_id, token)
          ON ours.message_id = lease.message_id AND ours.token = lease.token
        FOR KEY SHARE OF lease
    ), added AS (
        INSERT INTO answer_events (message_id, workspace_id, sequence, kind, data)
        SELECT new.* FROM unnest(:ids, :workspaces, :sequences, :kinds, :data)
          AS new (message_id, workspace_id, sequence, kind, data)
        JOIN held USING (message_id)
        ON CONFLICT (message_id, sequence) DO NOTHING
    )
    SELECT message_id FROM held
""").bindparams(*_LEASES, *_COLUMNS)
_ADD_SEARCH = insert(AnswerSearch).on_conflict_do_nothing()


async def hold_leases(session: AsyncSession, tokens: Mapping[UUID, UUID]) -> set[UUID]:
    """Return the messages whose lease is still held by their token; until the transaction ends nobody can end them."""
    return await add_held_entries(session, tokens, [])


async def renew_leases(session: AsyncSession, tokens: Mapping[UUID, UUID], lease: timedelta) -> set[UUID]:
    """Hold the leases for `lease` from the database's now; return the messages that are still ours."""
    rows = await (await session.connection()).execute(_RENEW, {**_pairs(tokens), "lease": lease})
    return set(rows.scalars())


_RENEW = text("""
    UPDATE answer_leases AS lease SET leased_until = now() + :lease
    FROM unnest(:messages, :tokens) AS ours (message_id, token)
    WHERE ours.message_id = lease.message_id AND ours.token = lease.token
    RETURNING lease.message_id
""").bindparams(*_LEASES, bindparam("lease", type_=INTERVAL))


async def lock_lease(session: AsyncSession, message_id: UUID, *, token: UUID | None, expired: bool = False) -> bool:
    """Lock an answer's lease for its end: the one of `token`, or anyone's, or only an expired one.

    Returns:
        False when there is no such lease: the answer has ended.
    """
    rows = await (await session.connection()).execute(
        _LOCK, {"message_id": message_id, "token": token, "expired": expired}
    )
    return rows.first() is not None


_LOCK = text("""
    SELECT 1 FROM answer_leases
    WHERE message_id = :message_id AND (CAST(:token AS uuid) IS NULL OR token = :token)
      AND (NOT :expired OR leased_until < now())
    FOR UPDATE
""").bindparams(bindparam("token", type_=Uuid))


async def delete_lease(session: AsyncSession, message_id: UUID) -> None:
    """Let go of an answer: it has ended."""
    await (await session.connection()).execute(_DELETE, {"message_id": message_id})


_DELETE = text("DELETE FROM answer_leases WHERE message_id = :message_id")


async def expired_leases(session: AsyncSession, limit: int) -> Collection[tuple[UUID, UUID]]:
    """Return (message, workspace) of answers whose process is gone."""
    rows = await (await session.connection()).execute(_EXPIRED, {"limit": limit})
    return [(row.message_id, row.workspace_id) for row in rows]


_EXPIRED = text(
    "SELECT message_id, workspace_id FROM answer_leases WHERE leased_until < now() ORDER BY leased_until LIMIT :limit"
)


async def compact_due(session: AsyncSession, limit: int) -> int:
    """Compact up to `limit` logs that are due, of the workspaces that the session sees; return how many they were.

    Logs that another process is at work on are left to it.
    """
    return (await (await session.connection()).execute(_COMPACT, {"limit": limit})).rowcount


# Each run of text becomes its last row; its number is what a reader has who has read it all. `lengths` are those of
# the events that it was, in characters, beginning with number `first`. Where text was not interrupted the difference
# of number and count stays the same.
_COMPACT = text("""
    WITH due AS (
        SELECT id FROM messages WHERE compact_log_at < now() ORDER BY compact_log_at LIMIT :limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), texts AS (
        SELECT message_id, sequence, data->>'text' AS body,
            sequence - row_number() OVER (PARTITION BY message_id ORDER BY sequence) AS run
        FROM answer_events WHERE message_id IN (SELECT id FROM due) AND kind = 'text' AND NOT data ? 'first'
    ), runs AS (
        SELECT message_id, min(sequence) AS first, max(sequence) AS last,
            string_agg(body, '' ORDER BY sequence) AS body,
            jsonb_agg(char_length(body) ORDER BY sequence) AS lengths
        FROM texts GROUP BY message_id, run HAVING count(*) > 1
    ), merged AS (
        UPDATE answer_events AS event
        SET data = jsonb_build_object('text', runs.body, 'first', runs.first, 'lengths', runs.lengths)
        FROM runs WHERE event.message_id = runs.message_id AND event.sequence = runs.last
    ), dropped AS (
        DELETE FROM answer_events AS event USING runs
        WHERE event.message_id = runs.message_id AND event.sequence >= runs.first AND event.sequence < runs.last
    )
    UPDATE messages SET compact_log_at = NULL WHERE id IN (SELECT id FROM due)
""")


def _pairs(tokens: Mapping[UUID, UUID]) -> dict[str, list[UUID]]:
    return {"messages": list(tokens), "tokens": list(tokens.values())}
