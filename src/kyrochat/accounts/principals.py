"""From credentials to the viewer: the one way in, for access tokens and API keys, over HTTP and on sockets.

Nothing is cached: whoever was disabled, signed out or removed a moment ago is so for the next operation.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from kyrochat.accounts import repository
from kyrochat.accounts.tokens import KEY_PREFIX, Tokens, secret_hash
from kyrochat.accounts.viewer import Client, KeyLimits, Viewer
from kyrochat.db.engine import Database
from kyrochat.db.models import ApiKey
from kyrochat.db.states import ApiKeyScope
from kyrochat.errors import Forbidden, Unauthenticated


@dataclass(frozen=True, slots=True)
class Principals:
    """Who may come in."""

    database: Database
    tokens: Tokens

    async def load(self, authorization: str, client: Client, origin: str | None = None) -> Viewer:
        """Return who sent `Authorization: Bearer …`. `origin` is that of a browser's page, unless it is our own.

        Raises:
            Unauthenticated: what came is not valid, or not any more.
            Forbidden: it is an API key that pages of this origin may not use.
        """
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("Send `Authorization: Bearer <accessToken>`, or an API key in its place.")
        if credential.startswith(KEY_PREFIX):
            return replace(await self._by_key(credential, origin), client=client)
        return replace(await self._by_access_token(credential), client=client)

    async def _by_access_token(self, token: str) -> Viewer:
        claims = self.tokens.read_access_token(token)
        async with self.database.begin() as session:
            account = await repository.account_of_session(session, claims.session_id, claims.user_id)
        if account is None:
            raise Unauthenticated("The session has ended. Sign in again.")
        return replace(account, expires_at=claims.expires_at)

    async def _by_key(self, secret: str, origin: str | None) -> Viewer:
        hashed = secret_hash(secret)
        async with self.database.begin(credential=hashed) as session:
            found = await repository.live_key(session, hashed)
        if found is None:
            raise Unauthenticated(
                "The API key is not valid: it is unknown, revoked or expired, or its creator is gone."
            )
        key, role = found
        _must_come_from(origin, key.allowed_origins)
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
        # To the minute: a busy key must not become a row that everybody waits for.
        if key.last_used_at is None or (datetime.now(UTC) - key.last_used_at).total_seconds() >= 60:
            async with self.database.begin([key.workspace_id]) as session:
                await repository.note_key_use(session, key.id)


def _must_come_from(origin: str | None, allowed: list[str]) -> None:
    # A key with origins is public, in the source of their pages; one without is for servers, and browsers that send
    # it tell that it has leaked into a page.
    if (origin or "").lower() in allowed or (origin is None and not allowed):
        return
    raise Forbidden(
        "This API key may not be used from here: a browser must be on a page of one of its allowed origins, "
        "and a key that has such origins is for browsers only."
    )
