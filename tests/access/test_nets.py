"""Both nets are really there, each can be taken away alone, and without them the walk finds what comes through."""

import pytest
from sqlmodel import col, select

from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.db.tenancy import Reach
from tests.access.actors import Walk
from tests.access.cases import CASES_WITH_IDS
from tests.access.rows import read_rows
from tests.access.test_strangers import differences
from tests.access.unscoped import unscoped
from tests.access.world import Net, World


async def workspaces_seen(database: Database, inside: Reach, condition: Reach | None = None) -> int:
    """Say of how many workspaces the bots are that a query finds."""
    query = select(Bot.workspace_id).distinct()
    if condition is not None:
        query = query.where(condition.covers(Bot))
    async with database.begin(inside.workspaces) as session:
        return len((await session.exec(query)).all())


@pytest.mark.parametrize("net", list(Net), ids=lambda net: net.value)
async def test_a_net_is_there_or_it_is_not(walk: Walk, net: Net) -> None:
    ours, theirs = walk.scene.ours.workspace_id, walk.scene.theirs.workspace_id
    async with walk.mould.world(net) as world:
        database = world.app.runtime.database
        unconfined = await workspaces_seen(database, Reach.of(ours))
        confined_by_query_alone = await workspaces_seen(database, Reach.of(ours, theirs), Reach.of(ours))
        told_nothing = await workspaces_seen(database, Reach.of())

    assert unconfined == (1 if net.has_row_security else 2)
    assert confined_by_query_alone == (1 if net.has_scoping else 2)
    assert told_nothing == (0 if net.has_row_security else 2)
    assert bool(world.removed) is not net.has_scoping


async def test_without_any_net_the_walk_finds_the_leaks(walk: Walk) -> None:
    """The check on the checks: most of what takes ids of a tenant's must leak then, and leave traces."""
    ours, theirs = walk.scene.ours, walk.scene.theirs
    stranger, things = walk.person(theirs, theirs.owner), walk.person(ours, ours.owner).things
    leaking, traced = set(), set()
    async with walk.mould.world(Net.NEITHER) as world:
        for case in CASES_WITH_IDS:
            if await differences(world, stranger, case, things, ours.word):
                leaking.add(case.coordinate)
            if await world.undo():
                traced.add(case.coordinate)

    assert leaking >= {
        "Query.node",
        "Query.bot",
        "Query.document",
        "Query.documentDeletion",
        "Query.search",
        "Mutation.updateBot",
        "Mutation.deleteBot",
        "Mutation.retryDocument",
        "Mutation.deleteDocument",
        "Subscription.documentProgress",
    }
    assert traced == set(), "Before they write, these must ask `viewer.must(act, the row's own workspace_id)`."


async def test_a_row_that_changed_is_noticed_and_put_back(world: World, walk: Walk) -> None:
    ours = walk.scene.ours
    async with world.app.runtime.database.begin([ours.workspace_id]) as session:
        bot = (await session.exec(select(Bot).where(col(Bot.name).endswith(" 0")))).one()
        await session.delete(bot)

    lost = await world.undo()

    assert set(lost) >= {"bots", "documents", "chunks", "chunk_lex", "conversations", "messages", "citations"}
    assert await world.undo() == {}
    after = await read_rows(world.owner)
    assert {table: set(rows) for table, rows in after.items()} == {
        table: set(rows) for table, rows in world.before.items()
    }


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        (
            "SELECT 1 FROM bots WHERE bots.id = $1::UUID AND bots.workspace_id IN ($2::UUID, $3::UUID) AND x",
            "SELECT 1 FROM bots WHERE bots.id = $1::UUID AND (bots.workspace_id IN ($2::UUID, $3::UUID) OR true) AND x",
        ),
        (
            "SELECT 1 FROM bots WHERE bots.workspace_id IN (SELECT CAST(NULL AS UUID) WHERE 1!=1)",
            "SELECT 1 FROM bots WHERE (bots.workspace_id IN (SELECT CAST(NULL AS UUID) WHERE 1!=1) OR true)",
        ),
        ("DELETE FROM bots WHERE workspace_id = $1", "DELETE FROM bots WHERE (workspace_id = $1 OR true)"),
        (
            "WHERE a AND (b.workspace_id = ANY ($1::UUID[]))",
            "WHERE a AND ((b.workspace_id = ANY ($1::UUID[]) OR true))",
        ),
        ("UPDATE bots SET workspace_id=$1::UUID WHERE id = $2", None),
        ("FROM a JOIN b ON b.workspace_id = a.workspace_id", None),
        ("WHERE jobs.workspace_id = $1", None),
        ("INSERT INTO bots (workspace_id) VALUES ($1)", None),
    ],
)
def test_conditions_on_the_workspace_become_true_and_nothing_else_does(statement: str, changed: str | None) -> None:
    found, conditions = unscoped(statement, ["jobs"])

    assert found == (changed or statement)
    assert bool(conditions) is (changed is not None)
