"""Coming in with an API key: as its creator is at that moment, from where it is meant for, and never after its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.presence import Presences
from kyrochat.accounts.tokens import secret_hash
from kyrochat.accounts.viewer import KeyLimits
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.db.engine import open_database
from kyrochat.db.models import WorkspaceMember
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.errors import Forbidden, Unauthenticated
from tests.accounts.key_scene import CLIENT, SHOP, Keys
from tests.factories import make_viewer

READ, CHAT, INGEST, ADMIN = ApiKeyScope.READ, ApiKeyScope.CHAT, ApiKeyScope.INGEST, ApiKeyScope.ADMIN
UNKNOWN = "kck_" + "A" * 43
Change = Callable[[Keys], Awaitable[None]]


async def refusal(attempt: Awaitable[object]) -> str:
    with pytest.raises(Unauthenticated) as refused:
        await attempt
    return refused.value.message


async def revoked(keys: Keys) -> None:
    await keys.run("UPDATE api_keys SET revoked_at = now()")


async def expired(keys: Keys) -> None:
    await keys.run("UPDATE api_keys SET expires_at = now() - interval '1 second'")


async def creator_disabled(keys: Keys) -> None:
    await keys.run("UPDATE users SET disabled_at = now() WHERE id = :id", id=keys.ada.user_id)


async def creator_removed(keys: Keys) -> None:
    await keys.run("DELETE FROM workspace_members WHERE user_id = :id", id=keys.ada.user_id)


async def creator_deleted(keys: Keys) -> None:
    await keys.run("DELETE FROM users WHERE id = :id", id=keys.ada.user_id)


async def workspace_deleted(keys: Keys) -> None:
    await keys.run("DELETE FROM workspaces WHERE id = :id", id=keys.workspace_id)


ENDS = [revoked, expired, creator_disabled, creator_removed, creator_deleted, workspace_deleted]


async def test_a_key_comes_in_as_its_creator_with_its_limits(keys: Keys) -> None:
    key, secret = await keys.make(READ, CHAT, bot_id=keys.bot.id, expires_in_days=1, daily_token_budget=5)
    came = await keys.enter(secret)
    assert (came.user_id, came.session_id, came.is_admin) == (keys.ada.user_id, None, False)
    assert came.workspaces == {keys.workspace_id: WorkspaceRole.OWNER}
    assert came.default_workspace_id == keys.workspace_id
    assert came.key == KeyLimits(key.id, frozenset({READ, CHAT}), keys.bot.id, is_public=False, daily_token_budget=5)
    assert (came.client, came.expires_at) == (CLIENT, key.expires_at)


async def test_a_key_of_an_administrator_administers_nothing(keys: Keys) -> None:
    await keys.run("UPDATE users SET is_admin = true")
    came = await keys.enter((await keys.make(*ApiKeyScope))[1])
    assert not came.is_admin
    with pytest.raises(Forbidden):
        came.must_administer()


async def test_a_key_reaches_one_workspace_of_its_creators(keys: Keys) -> None:
    other = await make_viewer(keys.database, "bob@example.com")
    async with keys.database.begin() as session:
        session.add(
            WorkspaceMember(workspace_id=other.default_workspace_id, user_id=keys.ada.user_id, role=WorkspaceRole.OWNER)
        )
    came = await keys.enter((await keys.make(*ApiKeyScope))[1])
    assert set(came.workspaces) == {keys.workspace_id}


@pytest.mark.parametrize("role", list(WorkspaceRole))
async def test_a_key_has_the_role_that_its_creator_has_now(keys: Keys, role: WorkspaceRole) -> None:
    _, secret = await keys.make(ADMIN)
    await keys.run("UPDATE workspace_members SET role = :role", role=role.value)

    came = await keys.enter(secret)

    assert came.workspaces == {keys.workspace_id: role}
    for act in Act:
        may = act.allows(role) and ADMIN in act.scopes
        try:
            came.must(act, keys.workspace_id)
        except Forbidden:
            assert not may, act
        else:
            assert may, act


async def test_a_key_for_one_bot_does_nothing_with_the_workspace_as_a_whole(keys: Keys) -> None:
    came = await keys.enter((await keys.make(ADMIN, bot_id=keys.bot.id))[1])
    assert came.reach.bot_id == keys.bot.id
    for act in (Act.READ_AUDIT_LOG, Act.SEE_MEMBERS):
        with pytest.raises(Forbidden, match="one bot"):
            came.must(act, keys.workspace_id)
    came.must(Act.MANAGE_BOTS, keys.workspace_id)


@pytest.mark.parametrize("end", ENDS)
async def test_a_key_that_is_over_is_like_one_that_never_was(keys: Keys, end: Change) -> None:
    _, secret = await keys.make()
    await keys.enter(secret)

    await end(keys)

    assert await refusal(keys.enter(secret)) == await refusal(keys.enter(UNKNOWN))
    # A page that it is not for does not find out either.
    assert await refusal(keys.enter(secret, SHOP)) == await refusal(keys.enter(UNKNOWN))


@pytest.mark.parametrize("forge", ["{0}A", "kck_", "kck_ ", "kck_\x00", "kck_\ud800", "kck_" + "A" * 100_000, "{1}"])
async def test_what_is_nearly_a_key_is_none(keys: Keys, forge: str) -> None:
    key, secret = await keys.make()
    # The last one is what the database has of it.
    given = forge.format(secret, "kck_" + key.secret_hash.hex())
    assert await refusal(keys.enter(given)) == await refusal(keys.enter(UNKNOWN))


async def test_a_key_is_no_other_kind_of_token(keys: Keys) -> None:
    _, secret = await keys.make()
    for other in (secret.replace("kck_", "kcr_"), secret.removeprefix("kck_"), secret.upper()):
        with pytest.raises(Unauthenticated):
            await keys.enter(other)


@pytest.mark.parametrize(
    ("origin", "is_ours", "comes_in"),
    [
        (SHOP, False, True),
        ("https://SHOP.example", False, True),
        # The page and this server may share a host, behind one proxy.
        (SHOP, True, True),
        (None, False, False),
        ("null", False, False),
        ("", False, False),
        ("http://shop.example", False, False),
        ("https://shop.example:8443", False, False),
        ("https://shop.example.evil.example", False, False),
        ("https://evil.example", False, False),
        ("https://kyrochat.example", True, False),
        ("*", False, False),
    ],
)
async def test_a_key_for_browsers_is_for_its_pages(
    keys: Keys, origin: str | None, is_ours: bool, comes_in: bool
) -> None:
    _, secret = await keys.make_public()
    if comes_in:
        came = await keys.enter(secret, origin, is_ours=is_ours)
        assert came.key is not None
        assert came.key.is_public
    else:
        with pytest.raises(Forbidden, match="allowed origins"):
            await keys.enter(secret, origin, is_ours=is_ours)
        assert await keys.column("SELECT last_used_at FROM api_keys") == [None]


@pytest.mark.parametrize(
    ("origin", "is_ours", "comes_in"),
    [
        (None, False, True),
        ("http://127.0.0.1:8000", True, True),
        (SHOP, False, False),
        ("null", False, False),
        ("", False, False),
    ],
)
async def test_a_secret_key_is_not_for_web_pages(keys: Keys, origin: str | None, is_ours: bool, comes_in: bool) -> None:
    _, secret = await keys.make()
    if comes_in:
        assert (await keys.enter(secret, origin, is_ours=is_ours)).key is not None
    else:
        with pytest.raises(Forbidden, match="secret"):
            await keys.enter(secret, origin, is_ours=is_ours)


async def test_a_use_is_noted_to_the_minute(keys: Keys) -> None:
    _, secret = await keys.make()
    await keys.enter(secret)
    (first,) = await keys.column("SELECT last_used_at FROM api_keys")
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=30)

    await keys.enter(secret)
    assert await keys.column("SELECT last_used_at FROM api_keys") == [first]

    await keys.run("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
    await keys.enter(secret)
    (later,) = await keys.column("SELECT last_used_at FROM api_keys")
    assert later > first


async def test_many_uses_at_once_write_once(keys: Keys) -> None:
    _, secret = await keys.make()
    await asyncio.gather(*(keys.enter(secret) for _ in range(20)))
    # Each version of the only row has its place on the page: the second one is the first change.
    assert await keys.column("SELECT ctid::text FROM api_keys") == ["(0,2)"]


async def test_nobody_waits_for_the_note_of_a_use(keys: Keys) -> None:
    key, secret = await keys.make()
    async with keys.database.begin(keys.ada.workspaces) as session, asyncio.timeout(30):
        await session.get_one(type(key), key.id, with_for_update=True)
        assert (await keys.enter(secret)).key is not None
    assert await keys.column("SELECT last_used_at FROM api_keys") == [None]


async def test_a_use_that_cannot_be_noted_is_one_all_the_same(
    keys: Keys, urls: DatabaseUrls, caplog: pytest.LogCaptureFixture
) -> None:
    _, secret = await keys.make()
    owner = open_database(urls.owner)
    async with owner.begin() as session:
        await (await session.connection()).execute(
            text("ALTER TABLE api_keys ADD CONSTRAINT unused CHECK (last_used_at IS NULL)")
        )
    await owner.close()

    with caplog.at_level(logging.DEBUG):
        assert (await keys.enter(secret)).key is not None

    assert "could not be noted" in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize("end", ENDS)
async def test_whoever_is_connected_with_a_key_leaves_with_it(keys: Keys, end: Change) -> None:
    _, secret = await keys.make()
    presences = Presences(keys.database, keys.service.changes)
    viewer = await keys.enter(secret)
    with presences.of(viewer) as ended:
        await presences.check()
        assert not ended.is_set()

        await end(keys)

        await presences.check()
        assert ended.is_set()


async def test_revoking_a_key_shuts_its_connections_and_no_others(keys: Keys) -> None:
    key, secret = await keys.make()
    _, other = await keys.make()
    presences = Presences(keys.database, keys.service.changes)
    async with presences.watched():
        with presences.of(await keys.enter(secret)) as ended, presences.of(await keys.enter(other)) as others:
            await keys.service.revoke(keys.ada, key.id)
            async with asyncio.timeout(30):
                await ended.wait()
            assert not others.is_set()


async def test_a_demoted_creator_stays_connected_with_less(keys: Keys) -> None:
    """What a key may is asked anew for each operation; there is nothing to watch that a viewer may not."""
    _, secret = await keys.make(ADMIN)
    presences = Presences(keys.database, keys.service.changes)
    with presences.of(await keys.enter(secret)) as ended:
        await keys.run("UPDATE workspace_members SET role = 'VIEWER'")
        await presences.check()
        assert not ended.is_set()
    with pytest.raises(Forbidden):
        (await keys.enter(secret)).must(Act.INGEST, keys.workspace_id)


async def test_a_key_shows_nobody_elses_rows(keys: Keys) -> None:
    """The secret opens its own row, and with it no other one, whatever is asked."""
    _, secret = await keys.make()
    await keys.make()
    hashed = (await keys.column("SELECT secret_hash FROM api_keys ORDER BY id"))[0]
    async with keys.database.begin(credential=hashed) as session:
        connection = await session.connection()
        seen = list((await connection.execute(text("SELECT secret_hash FROM api_keys"))).scalars())
        changed = await connection.execute(text("UPDATE api_keys SET name = 'mine'"))
    assert seen == [secret_hash(secret)]
    assert changed.rowcount == 0
