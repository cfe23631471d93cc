"""Hashing of passwords with argon2id, off the event loop."""

import asyncio
import os
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kyrochat.errors import Overloaded

T = TypeVar("T")

MIN_PASSWORD_BYTES = 8
MAX_PASSWORD_BYTES = 1024
# A hash takes about 25 ms of a core: more waiting than this would be answered after seconds only.
MAX_WAITING = 50


@dataclass(slots=True, eq=False)
class Passwords:
    """Hashes and verifies; at most half of the cores at once, at most `MAX_WAITING` in line."""

    # OWASP's minimum. The library's default (64 MiB, 4 lanes) takes 657 ms on two cores.
    hasher: PasswordHasher = field(
        default_factory=lambda: PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    )
    _pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max(1, (os.cpu_count() or 2) // 2), "argon2")
    )
    _places: int = 0
    _waiting: int = 0
    _dummy: str = ""

    async def hash(self, password: str) -> str:
        """Return the hash to store.

        Raises:
            Overloaded: too many are in line.
        """
        return await self._run(lambda: self.hasher.hash(_bytes(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Say whether the password is right. Without a stored hash it takes as long, and says no.

        Raises:
            Overloaded: too many are in line.
        """
        return await self._run(lambda: self._verify(stored, password))

    def needs_rehash(self, stored: str) -> bool:
        """Say whether a hash has other parameters than those of today."""
        try:
            return self.hasher.check_needs_rehash(stored)
        except InvalidHashError:
            return False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for somebody whose password will be hashed, before anything else is done for him.

        Of a thousand who come at once all would otherwise be looked up first, and hold up everybody.

        Raises:
            Overloaded: all `MAX_WAITING` places are taken.
        """
        if self._places >= MAX_WAITING:
            raise Overloaded
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, stored: str | None, password: str) -> bool:
        # A hash of today's parameters, so that unknown e-mail addresses cannot be told by the clock.
        if stored is None and not self._dummy:
            self._dummy = self.hasher.hash(os.urandom(16))
        try:
            self.hasher.verify(stored or self._dummy, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode()
