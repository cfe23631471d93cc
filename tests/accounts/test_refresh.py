"""Refresh tokens: each is good for one exchange, a lost answer can be had again, and a theft ends the session."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func
from sqlmodel import select, update

from kyrochat.accounts.sessions import SignedIn
from kyrochat.accounts.tokens import REFRESH_PREFIX, Tokens, secret_hash
from kyrochat.db.engine import Database
from kyrochat.db.models import UsedRefreshToken, UserSession
from kyrochat.errors import InvalidCredentials, Unauthenticated
from tests.accounts.scene import LAPTOP, Doors, Entry, acts, entries


@pytest.fixture
async def signed_in(doors: Doors) -> SignedIn:
    return await doors.register()


async def used_tokens(database: Database) -> int:
    async with database.begin() as session:
        return (await session.exec(select(func.count()).select_from(UsedRefreshToken))).one()


async def exchanged_ago(database: Database, *, seconds: float) -> None:
    """Let time go by: all exchanges were so long ago."""
    async with database.begin() as session:
        await session.exec(update(UsedRefreshToken).values(used_at=func.now() - timedelta(seconds=seconds)))


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


async def test_a_repetition_soon_after_gives_the_same_token_again(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    first = await doors.refresh(signed_in.refresh_token)
    row = await session_row(database)
    await exchanged_ago(database, seconds=8)

    again = await doors.refresh(signed_in.refresh_token)

    assert again.refresh_token == first.refresh_token
    assert await session_row(database) == row
    assert await used_tokens(database) == 1
    for token in (first.access_token, again.access_token):
        assert (await doors.viewer_of(token)).user_id == signed_in.user.id
    assert (await doors.refresh(again.refresh_token)).refresh_token != again.refresh_token
    assert await acts(database) == ["ACCOUNT_REGISTERED"]


async def test_of_twenty_refreshes_at_once_all_get_the_one_next_token(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    ends = await asyncio.gather(*(doors.refresh(signed_in.refresh_token) for _ in range(20)))

    (token,) = {end.refresh_token for end in ends}
    row = await session_row(database)
    assert (row.refresh_hash, row.revoked_at) == (secret_hash(token), None)
    assert await used_tokens(database) == 1
    assert await doors.refresh(token)


async def test_a_repetition_later_ends_the_session_for_whoever_has_it(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    other_device = await doors.login()
    newest = await doors.refresh(signed_in.refresh_token)
    await exchanged_ago(database, seconds=11)

    with pytest.raises(InvalidCredentials, match="Sign in again"):
        await doors.refresh(signed_in.refresh_token)

    with pytest.raises(InvalidCredentials):
        await doors.refresh(newest.refresh_token)
    for token in (signed_in.access_token, newest.access_token):
        with pytest.raises(Unauthenticated):
            await doors.viewer_of(token)
    # It is written down once, with whose session it was and where the token came from; what was brought is forgotten.
    assert (await entries(database))[-1] == Entry("REFRESH_TOKEN_REUSED", None, signed_in.user.id, LAPTOP.address, {})
    assert await used_tokens(database) == 0
    assert (await acts(database)).count("REFRESH_TOKEN_REUSED") == 1
    # The other device keeps its session.
    assert await doors.refresh(other_device.refresh_token)


async def test_a_repetition_soon_after_ends_the_session_when_the_next_token_was_used_already(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    second = await doors.refresh(signed_in.refresh_token)
    third = await doors.refresh(second.refresh_token)

    with pytest.raises(InvalidCredentials):
        await doors.refresh(signed_in.refresh_token)

    for token in (second, third):
        with pytest.raises(InvalidCredentials):
            await doors.refresh(token.refresh_token)
        with pytest.raises(Unauthenticated):
            await doors.viewer_of(token.access_token)
    assert (await acts(database))[-1] == "REFRESH_TOKEN_REUSED"


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


async def test_what_is_stored_does_not_tell_the_next_token_without_the_secret(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    stored = (await session_row(database)).refresh_hash

    refreshed = await doors.refresh(signed_in.refresh_token)

    guess = Tokens(b"the guess of whoever has read the tables")
    assert guess.next_refresh_tokens(stored) != [refreshed.refresh_token]
    assert doors.sessions.tokens.next_refresh_tokens(stored) == [refreshed.refresh_token]


async def test_a_lost_answer_can_be_had_again_after_the_secret_was_changed(doors: Doors, signed_in: SignedIn) -> None:
    first = await doors.refresh(signed_in.refresh_token)
    changed = Tokens(b"another secret of at least 32 bytes", previous=doors.sessions.tokens.secret)
    restarted = replace(doors, sessions=replace(doors.sessions, tokens=changed))

    again = await restarted.refresh(signed_in.refresh_token)

    assert again.refresh_token == first.refresh_token
    assert await restarted.refresh(again.refresh_token)


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


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param({"expires_at": timedelta(seconds=-1)}, id="30 days after the sign-in"),
        pytest.param({"refreshed_at": timedelta(days=-14, seconds=-1)}, id="14 days without a refresh"),
    ],
)
async def test_a_session_ends_by_itself(
    doors: Doors, database: Database, signed_in: SignedIn, ended: dict[str, timedelta]
) -> None:
    async with database.begin() as session:
        times = {name: datetime.now(UTC) + ago for name, ago in ended.items()}
        await session.exec(update(UserSession).values(**times))

    with pytest.raises(InvalidCredentials):
        await doors.refresh(signed_in.refresh_token)
    with pytest.raises(Unauthenticated):
        await doors.viewer_of(signed_in.access_token)
    # That is nobody's theft.
    assert await acts(database) == ["ACCOUNT_REGISTERED"]


async def test_a_refresh_shortly_before_its_end_keeps_a_session_alive_but_not_beyond_its_30_days(
    doors: Doors, database: Database, signed_in: SignedIn
) -> None:
    before = await session_row(database)
    async with database.begin() as session:
        nearly = datetime.now(UTC) - timedelta(days=14) + timedelta(minutes=1)
        await session.exec(update(UserSession).values(refreshed_at=nearly))

    assert await doors.refresh(signed_in.refresh_token)

    after = await session_row(database)
    assert after.refreshed_at >= before.refreshed_at
    assert after.expires_at == before.expires_at
    assert timedelta(days=30) - (after.expires_at - before.created_at) < timedelta(seconds=5)
