from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

import pytest
from argon2 import PasswordHasher

from kyrochat.accounts.administration import Administration
from kyrochat.accounts.api_keys import ApiKeyService
from kyrochat.accounts.credentials import CredentialService
from kyrochat.accounts.passwords import Passwords
from kyrochat.accounts.principals import Principals
from kyrochat.accounts.registration import RegistrationService
from kyrochat.accounts.resets import PasswordResetService
from kyrochat.accounts.service import AccountService
from kyrochat.accounts.sessions import SessionService
from kyrochat.accounts.tokens import Tokens
from kyrochat.accounts.workspaces import WorkspaceService
from kyrochat.db.changes import Changes
from kyrochat.db.engine import Database
from tests.accounts.key_scene import Keys
from tests.accounts.letterbox import Letterbox
from tests.accounts.scene import Doors
from tests.accounts.team import Team
from tests.factories import make_bot, make_viewer

SECRET = b"a secret of at least 32 bytes, as it must be"


@dataclass
class CountingHasher(PasswordHasher):
    """The real thing with the cheapest parameters; it notes what it was asked to verify."""

    verified: list[str] = field(default_factory=list)
    hashed: int = 0

    def __post_init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.hashed += 1
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.verified.append(str(hash))
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
def passwords(hasher: CountingHasher) -> Generator[Passwords, None, None]:
    made = Passwords(hasher)
    yield made
    made.close()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens(SECRET)


@pytest.fixture
async def doors(database: Database, changes: Changes, passwords: Passwords, tokens: Tokens) -> Doors:
    sessions = SessionService(database, changes, passwords, tokens)
    return Doors(
        database,
        AccountService(database),
        WorkspaceService(database, changes),
        RegistrationService(database, passwords, sessions),
        sessions,
        CredentialService(database, changes, passwords),
        PasswordResetService(database, changes, passwords, "https://chat.example.com"),
        Administration(database, changes),
        Principals(database, tokens),
    )


@pytest.fixture
def team(database: Database, changes: Changes) -> Team:
    return Team(database, changes)


@pytest.fixture
async def keys(database: Database, changes: Changes, tokens: Tokens) -> Keys:
    ada = await make_viewer(database)
    bot = await make_bot(database, ada)
    return Keys(database, ApiKeyService(database, changes), Principals(database, tokens), ada, bot)


@pytest.fixture
def letterbox() -> Letterbox:
    box = Letterbox()
    box.is_open.set()
    return box
