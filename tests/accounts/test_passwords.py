"""Hashing: off the event loop, bounded, and refusing rather than queueing without end."""

import asyncio
import threading
from typing import Literal

import pytest

from kyrochat.accounts.passwords import MAX_WAITING, Passwords
from kyrochat.errors import Overloaded
from tests.accounts.conftest import CountingHasher


class GatedHasher(CountingHasher):
    """Verifies once the gate is open."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gate = threading.Event()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert self.gate.wait(30)
        return super().verify(hash, password)


async def test_a_hash_verifies_its_password_and_no_other() -> None:
    passwords = Passwords()
    stored = await passwords.hash("correct horse")

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != await passwords.hash("correct horse")
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "correct horsE")
    assert not await passwords.verify(None, "correct horse")
    assert not await passwords.verify("not a hash", "correct horse")
    assert not await passwords.verify("", "correct horse")
    passwords.close()


async def test_the_event_loop_runs_on_while_passwords_are_verified() -> None:
    passwords = Passwords()
    stored = await passwords.hash("correct horse")
    ticks_at_each_end: list[int] = []
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async def verify() -> None:
        assert await passwords.verify(stored, "correct horse")
        ticks_at_each_end.append(ticks)

    ticker = asyncio.create_task(tick())
    await asyncio.gather(*(verify() for _ in range(20)))
    ticker.cancel()

    # Between any two ends the loop was free: on it, all twenty would end within a tick or two.
    assert len(set(ticks_at_each_end)) > 10
    assert ticks > 40
    passwords.close()


async def test_beyond_its_line_it_refuses_at_once_and_recovers() -> None:
    hasher = GatedHasher()
    passwords = Passwords(hasher)
    stored = hasher.hash("correct horse")
    waiting = [asyncio.create_task(passwords.verify(stored, "correct horse")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)

    for attempt in (passwords.verify(stored, "correct horse"), passwords.verify(None, ""), passwords.hash("x")):
        with pytest.raises(Overloaded):
            await attempt

    assert hasher.verified == []
    hasher.gate.set()
    assert await asyncio.gather(*waiting) == [True] * MAX_WAITING
    assert await passwords.verify(stored, "correct horse")
    passwords.close()


async def test_who_stops_waiting_makes_room() -> None:
    hasher = GatedHasher()
    passwords = Passwords(hasher)
    stored = hasher.hash("correct horse")
    waiting = [asyncio.create_task(passwords.verify(stored, "correct horse")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    for task in waiting[1:]:
        task.cancel()
    await asyncio.gather(*waiting[1:], return_exceptions=True)

    last = asyncio.create_task(passwords.verify(stored, "correct horse"))
    hasher.gate.set()

    assert await waiting[0]
    assert await last
    passwords.close()
    # Those who had left were not worked for; one that had begun may have ended.
    assert len(hasher.verified) <= 3
