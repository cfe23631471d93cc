"""The audit log stays quick when it is long: each page of it is found by an index, and by few of its entries."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import col

from kyrochat.accounts import audit_repository
from kyrochat.accounts.audit_repository import Wanted
from kyrochat.db.columns import new_id
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import Database, open_database
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import AuditEntry
from tests.factories import make_viewer

ENTRIES = 100_000
# A page of 21 entries and the index that leads to them. The table has thousands.
MOST_PAGES_READ = 100
FILL = """
INSERT INTO audit_entries (id, workspace_id, act, actor_id, object_type, object_id, details, created_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 19))::uuid,
       CASE WHEN n % 3 = 0 THEN NULL ELSE CAST(:workspace AS uuid) END,
       CASE WHEN n % 20000 = 7 THEN 'BOT_DELETED' WHEN n % 3 = 0 THEN 'SIGNED_IN' ELSE 'BOT_CHANGED' END,
       CASE WHEN n % 30000 = 10 THEN CAST(:rare AS uuid) ELSE CAST(:common AS uuid) END,
       'Bot', CASE WHEN n % 25000 = 13 THEN CAST(:bot AS uuid) ELSE CAST(:workspace AS uuid) END,
       '{}', at
FROM generate_series(1, :entries) AS n, LATERAL (SELECT now() - n * interval '1 minute') AS made (at)
"""


async def test_each_way_to_read_takes_an_index(database: Database, urls: DatabaseUrls) -> None:
    # Given a long log, of the site and of one workspace, in which some acts, people and objects are rare.
    ada, bob = await make_viewer(database), await make_viewer(database, "bob@example.com")
    workspace_id, bot_id = ada.default_workspace_id, new_id()
    owner = open_database(urls.owner)
    async with owner.begin([workspace_id]) as session:
        values = {"workspace": workspace_id, "rare": bob.user_id, "common": ada.user_id, "bot": bot_id}
        await (await session.connection()).execute(text(FILL), {**values, "entries": ENTRIES})
    async with owner.begin() as session:
        await (await session.connection()).execute(text("ANALYZE audit_entries"))
    await owner.close()
    a_month_ago = datetime.now(UTC) - timedelta(days=30)
    ways = {
        "a workspace": (Wanted(workspace_id), False),
        "a rare act in a workspace": (Wanted(workspace_id, acts=["BOT_DELETED"]), False),
        "a common act in a workspace": (Wanted(workspace_id, acts=["BOT_CHANGED"]), False),
        "a rare person in a workspace": (Wanted(workspace_id, actor_id=bob.user_id), False),
        "an object": (Wanted(workspace_id, of=("Bot", bot_id)), False),
        "a time in a workspace": (
            Wanted(workspace_id, since=a_month_ago, until=a_month_ago + timedelta(hours=1)),
            False,
        ),
        "an old time": (Wanted(workspace_id, until=datetime.now(UTC) - timedelta(days=60)), False),
        "the site": (Wanted(), True),
        "a rare act": (Wanted(acts=["BOT_DELETED"]), True),
        "two acts": (Wanted(acts=["BOT_DELETED", "SIGNED_IN"]), True),
        "a rare person": (Wanted(actor_id=bob.user_id), True),
        "a common person": (Wanted(actor_id=ada.user_id), True),
        "somebody to whom nothing was done": (Wanted(of=("User", bob.user_id)), True),
    }

    # When a page of each is read, then few pages of the table are.
    plans = {name: await plan(database, workspace_id, *way) for name, way in ways.items()}

    costly = {name: found for name, found in plans.items() if found["Shared Hit Blocks"] > MOST_PAGES_READ}
    assert costly == {}
    # Nor is it slow to say that there is nothing.
    async with database.begin([workspace_id]) as session:
        found = await audit_repository.page_of(session, Wanted(workspace_id, of=("Bot", bot_id)), PageRequest(20))
    assert 1 < len(found.rows) < 20


async def plan(database: Database, workspace_id: UUID, wanted: Wanted, administers: bool) -> dict[str, Any]:
    """Return the executed plan of the query for the newest 21 entries, as PostgreSQL reports it."""
    query = audit_repository.entries(wanted).order_by(col(AuditEntry.id).desc()).limit(21)
    compiled = query.compile(database.engine.sync_engine, compile_kwargs={"literal_binds": True})
    async with database.begin([] if administers else [workspace_id], administers=administers) as session:
        explained = await (await session.connection()).exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled}"
        )
    ((report,),) = explained.all()
    found: dict[str, Any] = report[0]["Plan"]
    found["Shared Hit Blocks"] += found["Shared Read Blocks"]
    return found
