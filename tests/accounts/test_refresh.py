"""Refresh tokens: each is good for one exchange, and a second use ends the session."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from kyrochat.accounts.sessions import SignedIn
from kyrochat.accounts.tokens import REFRESH_PREFIX, secret_hash
from kyrochat.db.engine import Database
from kyrochat.db.models import UserSession
from kyrochat.errors import InvalidCredentials, Unauthenticated
from tests.accounts.scene import PASSWORD, Doors


@pytest.fixture
async def signed_in(doors: Doors) -> SignedIn:
    return await doors.register("ada@example.com", PASSWORD)


async def session_row(database: Database) -> UserSession:
    async with database.begin() as session:
        return (await session.exec(select(UserSession))).one()


async def test_a_refresh_gives_new_tokens_of_the_same_session(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    before = await session_row(database)

    refreshed = await doors.refresh(signed_in.refresh_token)

    after = await session_row(database)
    assert refreshed.user == signed_in.user
    assert refreshed.refresh_token != signed_in.refresh_token
    assert refreshed.refresh_token.startswith(REFRESH_PREFIX)
    assert (after.id, after.expires_at, after.revoked_at) == (before.id, before.expires_at, None)
    assert after.refresh_hash == secret_hash(refreshed.refresh_token)
    assert (await doors.viewer_of(refreshed.access_token)).session_id == before.id


async def test_tokens_are_not_stored(database: Database, signed_in: SignedIn) -> None:
    row = await session_row(database)

    assert signed_in.refresh_token.encode() not in row.refresh_hash
    assert len(row.refresh_hash) == 32
    # 256 random bits and the prefix.
    assert len(signed_in.refresh_token) == len(REFRESH_PREFIX) + 43


async def test_a_token_that_is_used_again_ends_the_session_for_whoever_has_it(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    other_device = await doors.login("ada@example.com", PASSWORD)
    newest = await doors.refresh(signed_in.refresh_token)

    with pytest.raises(InvalidCredentials, match="Sign in again"):
        await doors.refresh(signed_in.refresh_token)

    with pytest.raises(InvalidCredentials):
        await doors.refresh(newest.refresh_token)
    for token in (signed_in.access_token, newest.access_token):
        with pytest.raises(Unauthenticated):
            await doors.viewer_of(token)
    # The other device keeps its session.
    assert await doors.refresh(other_device.refresh_token)


async def test_a_stolen_token_is_noticed_however_often_the_thief_has_refreshed(
    doors: Doors, signed_in: SignedIn
) -> None:
    thief = await doors.refresh(signed_in.refresh_token)
    for _ in range(3):
        thief = await doors.refresh(thief.refresh_token)

    with pytest.raises(InvalidCredentials):
        await doors.refresh(signed_in.refresh_token)

    with pytest.raises(InvalidCredentials):
        await doors.refresh(thief.refresh_token)
    with pytest.raises(Unauthenticated):
        await doors.viewer_of(thief.access_token)


async def test_of_twenty_refreshes_at_once_at_most_one_wins_and_the_session_is_of_one_mind(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    ends = await asyncio.gather(*(doors.refresh(signed_in.refresh_token) for _ in range(20)), return_exceptions=True)

    winners = [end for end in ends if isinstance(end, SignedIn)]
    assert [type(end) for end in ends if end not in winners] == [InvalidCredentials] * 19
    row = await session_row(database)
    assert row.refresh_hash == secret_hash(winners[0].refresh_token)
    # Nineteen uses of a used token look like a thief's: nobody goes on.
    assert row.revoked_at is not None
    with pytest.raises(InvalidCredentials):
        await doors.refresh(winners[0].refresh_token)


async def test_a_token_that_nobody_was_given_is_refused_and_touches_nothing(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    before = await session_row(database)

    for token in ("", "kcr_", "kcr_" + "A" * 43, "\x00", "\ud800", "x" * 1_000_000, "é"):
        with pytest.raises(InvalidCredentials):
            await doors.refresh(token)

    assert await session_row(database) == before


async def test_an_access_token_is_no_refresh_token_nor_the_other_way_round(doors: Doors, signed_in: SignedIn) -> None:
    with pytest.raises(InvalidCredentials):
        await doors.refresh(signed_in.access_token)
    with pytest.raises(Unauthenticated):
        await doors.viewer_of(signed_in.refresh_token)

    assert await doors.refresh(signed_in.refresh_token)


async def test_a_session_ends_after_its_lifetime_however_often_it_was_refreshed(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    async with database.begin() as session:
        row = (await session.exec(select(UserSession))).one()
        row.expires_at = datetime.now(UTC) - timedelta(seconds=1)
        session.add(row)

    with pytest.raises(InvalidCredentials):
        await doors.refresh(signed_in.refresh_token)
    with pytest.raises(Unauthenticated):
        await doors.viewer_of(signed_in.access_token)
