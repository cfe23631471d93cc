"""Exports: a link that is good for one thing and a few minutes, and an archive that is never in memory as a whole."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.export import MAX_AT_ONCE, ExportService
from kyrochat.accounts.tokens import EXPORT_LIFETIME, Tokens
from kyrochat.accounts.viewer import Operator, Viewer
from kyrochat.accounts.zip_stream import Entry, json_list, zip_pieces
from kyrochat.db.columns import new_id
from kyrochat.db.models import ApiKey
from kyrochat.errors import Forbidden, Overloaded, Unauthenticated
from tests.accounts.conftest import SECRET
from tests.accounts.scene import LAPTOP, Doors
from tests.accounts.team import Team
from tests.accounts.test_workspaces import with_key


@pytest.fixture
async def ada(doors: Doors) -> Viewer:
    return await doors.enter("ada@example.com")


@pytest.fixture
def exports(doors: Doors, tokens: Tokens) -> ExportService:
    return ExportService(doors.database, tokens, "https://chat.example.com")


def token_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


async def once(*pieces: bytes) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece


async def archive(exports: ExportService, viewer: Viewer) -> zipfile.ZipFile:
    written = b"".join([piece async for piece in exports.archive(viewer)])
    return zipfile.ZipFile(io.BytesIO(written))


async def test_a_link_leads_to_whoever_asked_for_it(exports: ExportService, team: Team, ada: Viewer) -> None:
    link = await exports.link(ada)

    assert link.url.startswith("https://chat.example.com/account/export?token=")
    assert token_of(link.url) not in repr(link)
    assert timedelta(0) < link.expires_at - datetime.now(UTC) <= EXPORT_LIFETIME == timedelta(minutes=5)
    assert (await exports.viewer_of(token_of(link.url))).user_id == ada.user_id
    entry = (await team.audit())[-1]
    assert (entry.act, entry.actor_id, entry.address) == ("ACCOUNT_EXPORTED", ada.user_id, LAPTOP.address)


async def test_a_link_is_good_for_nothing_else_and_nothing_else_for_a_link(
    exports: ExportService, doors: Doors, tokens: Tokens, ada: Viewer
) -> None:
    signed_in = await doors.login("ada@example.com")
    token = token_of((await exports.link(ada)).url)
    old, _ = tokens._signed("export", ada.user_id, ada.session_id or new_id(), timedelta(seconds=-60))
    foreign, _ = Tokens(b"another secret of at least 32 bytes, you see").export_token(ada.user_id, new_id())
    unknown, _ = Tokens(SECRET).export_token(ada.user_id, new_id())

    with pytest.raises(Unauthenticated):
        await doors.viewer_of(token)
    for other in (
        signed_in.access_token,
        signed_in.refresh_token,
        old,
        foreign,
        unknown,
        "",
        "a.b.c",
        token[:-2],
        "\ud800",
    ):
        with pytest.raises(Unauthenticated):
            await exports.viewer_of(other)


async def test_a_link_ends_with_the_session_that_asked_for_it(
    exports: ExportService, doors: Doors, ada: Viewer
) -> None:
    link = await exports.link(ada)
    await doors.sessions.logout(ada)

    with pytest.raises(Unauthenticated):
        await exports.viewer_of(token_of(link.url))


async def test_keys_and_the_operator_get_no_links(exports: ExportService, ada: Viewer) -> None:
    with pytest.raises(Forbidden, match="API keys cannot"):
        await exports.link(with_key(ada))
    with pytest.raises(Unauthenticated):
        await exports.link(Viewer(ada.user_id, None, ada.workspaces, ada.default_workspace_id))


async def test_the_archive_says_what_the_account_has(
    exports: ExportService, doors: Doors, team: Team, ada: Viewer
) -> None:
    bob = await doors.enter("bob@example.com")
    async with team.database.begin([ada.default_workspace_id, bob.default_workspace_id]) as session:
        for owner in (ada, bob):
            session.add(
                ApiKey(
                    workspace_id=owner.default_workspace_id,
                    created_by=owner.user_id,
                    name=f"Key of {owner.user_id}",
                    prefix="kck_abcd",
                    secret_hash=b"\xab" * 16 + owner.user_id.bytes,
                    scopes=["READ"],
                )
            )
        record(session, AuditAct.USER_DISABLED, bob, subject_id=ada.user_id)
        record(session, AuditAct.BOT_CREATED, bob, workspace_id=bob.default_workspace_id)
    await exports.note(Operator(), ada)

    zipped = await archive(exports, ada)

    assert zipped.testzip() is None
    assert zipped.namelist() == ["account.json", "workspaces.json", "api-keys.json", "audit-log.json"]
    account, workspaces, keys, log = [json.loads(zipped.read(name)) for name in zipped.namelist()]
    assert (account["email"], account["name"], account["id"]) == ("ada@example.com", "ada", str(ada.user_id))
    assert [one["address"] for one in account["sessions"]] == [LAPTOP.address]
    assert [(one["name"], one["role"], one["isPersonal"]) for one in workspaces] == [("ada's workspace", "OWNER", True)]
    assert [key["name"] for key in keys] == [f"Key of {ada.user_id}"]
    everything = b"".join(zipped.read(name) for name in zipped.namelist()).decode()
    assert "password" not in everything.lower()
    for secret in ("argon2", "abababab", str(bob.user_id), "bob@example.com", str(bob.default_workspace_id)):
        assert secret not in everything
    assert [(entry["act"], entry["byYou"], entry["toYou"], entry["address"]) for entry in log] == [
        ("ACCOUNT_REGISTERED", True, False, LAPTOP.address),
        # Where he was who did it is his own affair.
        ("USER_DISABLED", False, True, None),
        ("ACCOUNT_EXPORTED", False, True, None),
    ]


async def test_only_so_many_archives_are_written_at_once(exports: ExportService, ada: Viewer) -> None:
    exports.parts = [lambda viewer: many_entries()]
    running = [exports.archive(ada) for _ in range(MAX_AT_ONCE)]
    for one in running:
        assert await anext(one)

    with pytest.raises(Overloaded):
        await anext(exports.archive(ada))
    await running[0].aclose()
    async with aclosing(exports.archive(ada)) as another:
        assert await anext(another)
    for one in running:
        await one.aclose()


async def many_entries() -> AsyncGenerator[Entry, None]:
    for number in range(50):
        yield Entry(f"{number}.bin", once(*[bytes(64 * 1024)] * 4), is_compressed=True)


CONTENTS = st.lists(st.lists(st.binary(max_size=200_000), max_size=4), max_size=6)


@settings(max_examples=30, deadline=None)
@given(CONTENTS, st.booleans())
async def test_what_is_put_in_comes_out(contents: Sequence[Sequence[bytes]], is_compressed: bool) -> None:
    async def entries() -> AsyncGenerator[Entry, None]:
        for number, pieces in enumerate(contents):
            yield Entry(f"folder/{number}", once(*pieces), is_compressed)

    written = b"".join([piece async for piece in zip_pieces(entries())])

    with zipfile.ZipFile(io.BytesIO(written)) as zipped:
        assert zipped.testzip() is None
        found = {name: zipped.read(name) for name in zipped.namelist()}
    assert found == {f"folder/{number}": b"".join(pieces) for number, pieces in enumerate(contents)}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=5))
async def test_a_list_of_json_is_json(items: list[dict[str, str]]) -> None:
    async def each() -> AsyncGenerator[object, None]:
        for item in items:
            yield item

    written = b"".join([piece async for piece in json_list(each())])

    assert json.loads(written) == [{_replaced(key): _replaced(value) for key, value in item.items()} for item in items]


def _replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


async def test_a_large_archive_takes_little_memory() -> None:
    """Half a gigabyte passes through; a tenth of that in memory would be told."""

    async def entries() -> AsyncGenerator[Entry, None]:
        async def pieces() -> AsyncGenerator[bytes, None]:
            for _ in range(256):
                yield bytes(1 << 20)

        for number in range(2):
            yield Entry(f"{number}.bin", pieces(), is_compressed=True)

    tracemalloc.start()
    try:
        sizes = [len(piece) async for piece in zip_pieces(entries())]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sum(sizes) > 512 << 20
    assert max(sizes) < 4 << 20
    assert peak < 50 << 20
