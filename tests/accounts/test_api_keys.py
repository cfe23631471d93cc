"""API keys: what can be made, who may make and revoke it, and what is left of a secret."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest

from kyrochat.accounts.api_keys import MAX_KEYS, MAX_LIFETIME_DAYS, ApiKeyService, NewKey
from kyrochat.accounts.tokens import secret_hash
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import WorkspaceMember
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound, QuotaExceeded
from tests.accounts.key_scene import SHOP, Keys
from tests.factories import make_bot, make_viewer

READ, CHAT, INGEST, ADMIN = ApiKeyScope.READ, ApiKeyScope.CHAT, ApiKeyScope.INGEST, ApiKeyScope.ADMIN
FAR_EAST, FAR_WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
AUDITED = "SELECT act || ' ' || details::text FROM audit_entries ORDER BY id"


async def member(keys: Keys, role: WorkspaceRole, email: str = "bob@example.com") -> Viewer:
    """Somebody else who belongs to Ada's workspace."""
    own = await make_viewer(keys.database, email)
    async with keys.database.begin() as session:
        session.add(WorkspaceMember(workspace_id=keys.workspace_id, user_id=own.user_id, role=role))
    return Viewer(own.user_id, None, {**own.workspaces, keys.workspace_id: role}, own.default_workspace_id)


async def test_a_key_is_kept_without_its_secret(keys: Keys) -> None:
    in_a_week = datetime.now(UTC) + timedelta(days=7)

    key, secret = await keys.make(READ, INGEST, bot_id=keys.bot.id, expires_at=in_a_week, daily_token_budget=1_000)

    assert secret.startswith("kck_")
    assert len(secret) == len("kck_") + 43
    assert (key.name, key.scopes, key.bot_id, key.allowed_origins) == ("Test", ["INGEST", "READ"], keys.bot.id, [])
    assert (key.expires_at, key.daily_token_budget) == (in_a_week, 1_000)
    assert (key.workspace_id, key.created_by) == (keys.workspace_id, keys.ada.user_id)
    assert (key.last_used_at, key.revoked_at) == (None, None)
    assert secret.startswith(key.prefix)
    # 35 characters, 210 bits, are still nobody's to guess.
    assert len(key.prefix) == 12
    assert await keys.column("SELECT secret_hash FROM api_keys") == [secret_hash(secret)]
    (everything,) = await keys.column("SELECT api_keys::text FROM api_keys")
    assert secret not in everything
    assert await keys.column(AUDITED) == [
        'API_KEY_CREATED {"scopes": ["INGEST", "READ"], "isPublic": false, "isForOneBot": true}'
    ]


async def test_two_keys_have_nothing_in_common(keys: Keys) -> None:
    secrets = [(await keys.make())[1] for _ in range(10)]
    assert len({secret[4:10] for secret in secrets}) == 10


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"name": " "}, ["name"]),
        ({"name": "x" * 101}, ["name"]),
        ({"name": "a\x00b"}, ["name"]),
        ({"scopes": frozenset()}, ["scopes"]),
        ({"allowed_origins": [SHOP]}, ["botId"]),
        ({"allowed_origins": [SHOP], "scopes": frozenset({CHAT, READ})}, ["scopes", "botId"]),
        ({"allowed_origins": [SHOP], "scopes": frozenset({ADMIN})}, ["scopes", "botId"]),
        ({"allowed_origins": ["*"]}, ["allowedOrigins", "botId"]),
        ({"allowed_origins": ["nonsense", "http://shop.example"]}, ["allowedOrigins", "allowedOrigins", "botId"]),
        ({"allowed_origins": [f"https://{n}.example" for n in range(21)]}, ["allowedOrigins", "botId"]),
        ({"daily_token_budget": 0}, ["dailyTokenBudget"]),
        ({"daily_token_budget": -1}, ["dailyTokenBudget"]),
        ({"expires_in_days": 0}, ["expiresInDays"]),
        ({"expires_in_days": MAX_LIFETIME_DAYS + 1}, ["expiresInDays"]),
        ({"expires_in_days": 2**31 - 1}, ["expiresInDays"]),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, ["expiresAt"]),
        ({"expires_at": datetime(1, 1, 1, tzinfo=FAR_EAST)}, ["expiresAt"]),
        ({"expires_at": datetime(9999, 12, 31, 23, tzinfo=FAR_WEST)}, ["expiresAt"]),
        ({"expires_at": datetime(2999, 1, 1, tzinfo=UTC), "expires_in_days": 7}, ["expiresInDays"]),
    ],
)
async def test_what_would_be_no_good_key_is_refused(keys: Keys, fields: dict[str, Any], names: list[str]) -> None:
    wanted = NewKey(**{"name": "Test", "scopes": frozenset({CHAT}), **fields})

    with pytest.raises(InvalidInput) as refused:
        await keys.service.create(keys.ada, None, wanted)

    assert [".".join(issue.path) for issue in refused.value.issues] == names
    assert await keys.column("SELECT id FROM api_keys") == []
    assert await keys.column(AUDITED) == []


async def test_a_key_for_browsers_has_one_bot_and_chats(keys: Keys) -> None:
    key, _ = await keys.make(bot_id=keys.bot.id, allowed_origins=["https://Shop.example/", "https://shop.example:443"])
    assert (key.scopes, key.allowed_origins) == (["CHAT"], [SHOP])


async def test_a_time_without_a_zone_is_in_utc(keys: Keys) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(tzinfo=None)
    key, _ = await keys.make(expires_at=tomorrow)
    assert key.expires_at == tomorrow.replace(tzinfo=UTC)


async def test_days_are_counted_from_now(keys: Keys) -> None:
    key, _ = await keys.make(expires_in_days=30)
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=30)) < timedelta(seconds=30)


async def test_somebody_elses_bot_is_like_none(keys: Keys) -> None:
    theirs = await make_bot(keys.database, await make_viewer(keys.database, "eve@example.com"))
    await keys.run("UPDATE bots SET deleted_at = now() WHERE id = :id", id=keys.bot.id)
    for bot_id in (theirs.id, keys.bot.id, uuid4()):
        with pytest.raises(NotFound, match="bot"):
            await keys.make(bot_id=bot_id)
    assert await keys.column("SELECT id FROM api_keys") == []


@pytest.mark.parametrize("role", [WorkspaceRole.VIEWER, WorkspaceRole.EDITOR])
async def test_only_owners_make_and_see_keys(keys: Keys, role: WorkspaceRole) -> None:
    bob = await member(keys, role)
    key, _ = await keys.make()

    with pytest.raises(Forbidden, match="role"):
        await keys.service.create(bob, keys.workspace_id, NewKey("Mine", frozenset({CHAT})))
    with pytest.raises(Forbidden):
        await keys.service.page(bob, keys.workspace_id, PageRequest(10))
    with pytest.raises(Forbidden):
        await keys.service.count(bob, keys.workspace_id)
    with pytest.raises(NotFound, match="API key"):
        await keys.service.revoke(bob, key.id)
    assert await keys.service.many(bob, [key.id]) == []
    assert await keys.column("SELECT revoked_at FROM api_keys") == [None]


async def test_strangers_see_no_keys(keys: Keys) -> None:
    eve = await make_viewer(keys.database, "eve@example.com")
    key, _ = await keys.make()
    for key_id in (key.id, uuid4()):
        with pytest.raises(NotFound, match="API key"):
            await keys.service.revoke(eve, key_id)
    with pytest.raises(NotFound, match="workspace"):
        await keys.service.create(eve, keys.workspace_id, NewKey("Mine", frozenset({CHAT})))
    with pytest.raises(NotFound, match="workspace"):
        await keys.service.page(eve, keys.workspace_id, PageRequest(10))
    assert await keys.service.many(eve, [key.id]) == []
    assert (await keys.service.page(eve, None, PageRequest(10))).rows == []
    assert await keys.column("SELECT revoked_at FROM api_keys") == [None]


@pytest.mark.parametrize("scope", list(ApiKeyScope))
async def test_keys_neither_make_nor_see_nor_revoke_keys(keys: Keys, scope: ApiKeyScope) -> None:
    key, secret = await keys.make(scope)
    itself = await keys.enter(secret)

    with pytest.raises(Forbidden):
        await keys.service.create(itself, None, NewKey("Another", frozenset({scope})))
    with pytest.raises(Forbidden):
        await keys.service.revoke(itself, key.id)
    with pytest.raises(Forbidden):
        await keys.service.many(itself, [key.id])
    with pytest.raises(Forbidden):
        await keys.service.page(itself, None, PageRequest(10))
    assert await keys.column("SELECT revoked_at FROM api_keys") == [None]


async def test_owners_revoke_each_others_keys(keys: Keys) -> None:
    bob = await member(keys, WorkspaceRole.OWNER)
    key, _ = await keys.make()

    revoked = await keys.service.revoke(bob, key.id)

    assert revoked.revoked_at is not None
    assert await keys.column("SELECT revoked_at FROM api_keys") == [revoked.revoked_at]
    assert [(await keys.column(AUDITED))[1], await keys.column("SELECT actor_id FROM audit_entries ORDER BY id")] == [
        "API_KEY_REVOKED {}",
        [keys.ada.user_id, bob.user_id],
    ]


async def test_whoever_made_a_key_revokes_it_although_he_owns_nothing_any_more(keys: Keys) -> None:
    key, _ = await keys.make()
    demoted = Viewer(keys.ada.user_id, None, {keys.workspace_id: WorkspaceRole.VIEWER}, keys.workspace_id)
    assert (await keys.service.revoke(demoted, key.id)).revoked_at is not None


async def test_a_key_is_revoked_once(keys: Keys) -> None:
    key, _ = await keys.make()
    first = await keys.service.revoke(keys.ada, key.id)
    second = await keys.service.revoke(keys.ada, key.id)
    assert second.revoked_at == first.revoked_at
    assert len(await keys.column(AUDITED)) == 2


async def test_a_revocation_rings(keys: Keys, changes: Changes) -> None:
    key, _ = await keys.make()
    with changes.watch(ACCESS_TOPIC) as bell:
        while await bell.wait(0.2):  # what rings when the listener comes up
            pass
        await keys.service.revoke(keys.ada, key.id)
        assert await bell.wait(5)


async def test_the_list_has_all_keys_of_one_workspace_newest_first(keys: Keys) -> None:
    made = [(await keys.make())[0].id for _ in range(3)]
    await keys.service.revoke(keys.ada, made[0])
    await ApiKeyService(keys.database, keys.service.changes).create(
        await make_viewer(keys.database, "eve@example.com"), None, NewKey("Hers", frozenset({CHAT}))
    )
    page = await keys.service.page(keys.ada, None, PageRequest(2))
    assert ([key.id for key in page.rows], page.has_next) == (made[:0:-1], True)
    assert await keys.service.count(keys.ada, None) == 3


async def test_a_workspace_has_so_many_keys_and_no_more(keys: Keys) -> None:
    key, _ = await keys.make()
    await keys.run(
        "INSERT INTO api_keys (id, workspace_id, created_by, name, prefix, secret_hash)"
        " SELECT gen_random_uuid(), :workspace, :user, '', '', sha256(n::text::bytea) FROM generate_series(2, :most) n",
        workspace=keys.workspace_id,
        user=keys.ada.user_id,
        most=MAX_KEYS,
    )
    with pytest.raises(QuotaExceeded, match="Revoke one"):
        await keys.make()
    await keys.service.revoke(keys.ada, key.id)
    await keys.make()
