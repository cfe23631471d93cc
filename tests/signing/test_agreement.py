"""All processes of one database have the same key, or a key that follows it."""

import asyncio

import pytest
from sqlmodel import select

from kyrochat.db.engine import Database
from kyrochat.db.models import Installation
from kyrochat.errors import ConfigurationError
from kyrochat.signing.agreement import KEY_ID, accept_key, agree_on_key
from kyrochat.signing.keys import SecretKeys, key_id

ONE, TWO, THREE = (f"key number {number} of a test, long enough".encode() for number in (1, 2, 3))


async def remembered(database: Database) -> list[tuple[str, str]]:
    async with database.begin() as session:
        return [(row.name, row.value) for row in (await session.exec(select(Installation))).all()]


async def test_the_first_start_decides_and_others_must_have_the_same_key(database: Database) -> None:
    await agree_on_key(database, SecretKeys(ONE))
    await agree_on_key(database, SecretKeys(ONE))
    await agree_on_key(database, SecretKeys(ONE, previous=TWO))

    with pytest.raises(ConfigurationError, match="kyrochat secret accept"):
        await agree_on_key(database, SecretKeys(TWO))
    with pytest.raises(ConfigurationError, match="neither is the previous one"):
        await agree_on_key(database, SecretKeys(TWO, previous=THREE))

    # Its name is there, and no more of it.
    assert await remembered(database) == [(KEY_ID, key_id(ONE))]


async def test_of_ten_that_start_together_with_two_keys_those_with_one_of_them_start(database: Database) -> None:
    starts = [agree_on_key(database, SecretKeys((ONE, TWO)[number % 2])) for number in range(10)]

    outcomes = await asyncio.gather(*starts, return_exceptions=True)

    refused = [isinstance(outcome, ConfigurationError) for outcome in outcomes]
    assert refused in ([False, True] * 5, [True, False] * 5)


async def test_after_a_rotation_the_new_key_takes_the_place_of_the_old_one(database: Database) -> None:
    await agree_on_key(database, SecretKeys(ONE))

    await agree_on_key(database, SecretKeys(TWO, previous=ONE))

    assert await remembered(database) == [(KEY_ID, key_id(TWO))]
    await agree_on_key(database, SecretKeys(TWO))
    with pytest.raises(ConfigurationError):
        await agree_on_key(database, SecretKeys(ONE))
    with pytest.raises(ConfigurationError):
        await agree_on_key(database, SecretKeys(THREE, previous=ONE))


async def test_a_lost_key_is_replaced_when_the_operator_says_so(database: Database) -> None:
    assert await accept_key(database, SecretKeys(ONE))
    assert not await accept_key(database, SecretKeys(ONE))

    assert await accept_key(database, SecretKeys(TWO))

    await agree_on_key(database, SecretKeys(TWO))
    with pytest.raises(ConfigurationError):
        await agree_on_key(database, SecretKeys(ONE))
