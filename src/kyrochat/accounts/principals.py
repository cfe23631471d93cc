"""From credentials to the viewer: the one way in, for access tokens and API keys, over HTTP and on sockets.

Nothing is cached: whoever was disabled, signed out or removed a moment ago is so for the next operation.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from kyrochat.accounts import key_repository, repository
from kyrochat.accounts.tokens import KEY_PREFIX, Tokens, secret_hash
from kyrochat.accounts.viewer import Client, KeyLimits, Page, Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import ApiKey
from kyrochat.db.states import ApiKeyScope
from kyrochat.errors import Forbidden, Overloaded, Unauthenticated

# Looking somebody up takes about two milliseconds. Of a crowd the last ones would wait for seconds, and then wait
# again for what they came for; they hear at once that the server is busy.
MAX_LOOKED_UP = 200

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Principals:
    """Who may come in."""

    database: Database
    tokens: Tokens
    _looked_up: int = 0

    async def load(self, authorization: str, client: Client, page: Page | None = None) -> Viewer:
        """Return who sent `Authorization: Bearer …`, from a browser on `page` if it was one.

        Raises:
            Unauthenticated: what came is not valid, or not any more.
            Forbidden: it is an API key that may not be used from there.
            Overloaded: too many are being looked up.
        """
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("Send `Authorization: Bearer <accessToken>`, or an API key in its place.")
        with self._place():
            is_key = credential.startswith(KEY_PREFIX)
            found = await (self._by_key(credential, page) if is_key else self._by_access_token(credential))
        return replace(found, client=client)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._looked_up >= MAX_LOOKED_UP:
            raise Overloaded
        self._looked_up += 1
        try:
            yield
        finally:
            self._looked_up -= 1

    async def _by_access_token(self, token: str) -> Viewer:
        claims = self.tokens.read_access_token(token)
        async with self.database.begin() as session:
            account = await repository.account_of_session(session, claims.session_id, claims.user_id)
        if account is None:
            raise Unauthenticated("The session has ended. Sign in again.")
        return replace(account, expires_at=claims.expires_at)

    async def _by_key(self, secret: str, page: Page | None) -> Viewer:
        hashed = secret_hash(secret)
        async with self.database.begin(credential=hashed) as session:
            found = await key_repository.live_key(session, hashed)
        if found is None:
            raise Unauthenticated(
                "The API key is not valid: it is unknown, revoked or expired, or its creator is gone."
            )
        key, role = found
        _must_come_from(page, key.allowed_origins)
        await self._note_use(key)
        return Viewer(
            key.created_by,
            None,
            {key.workspace_id: role},
            key.workspace_id,
            key=KeyLimits(
                key.id,
                frozenset(ApiKeyScope(scope) for scope in key.scopes),
                key.bot_id,
                is_public=bool(key.allowed_origins),
                daily_token_budget=key.daily_token_budget,
            ),
            expires_at=key.expires_at,
        )

    async def _note_use(self, key: ApiKey) -> None:
        if key.last_used_at is not None and datetime.now(UTC) - key.last_used_at < timedelta(minutes=1):
            return
        try:
            async with self.database.begin([key.workspace_id]) as session:
                await key_repository.note_use(session, key.id)
        except Exception as error:  # a note for people; nobody is turned away for it
            log.debug("A key's use could not be noted (%s)", type(error).__name__)


def _must_come_from(page: Page | None, allowed: list[str]) -> None:
    if allowed and (page is None or page.origin.lower() not in allowed):
        raise Forbidden("This API key is for browsers on pages of its allowed origins only.")
    # A page that sends a secret key shows it to everybody who looks at its source.
    if not allowed and page is not None and not page.is_ours:
        raise Forbidden("This API key is secret and not for web pages. Make one with `allowedOrigins` for them.")
