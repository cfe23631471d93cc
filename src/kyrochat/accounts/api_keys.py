"""Use cases of API keys: making, listing and revoking them. Only people do that; no key makes keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from kyrochat.accounts import key_repository
from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.budgets import today
from kyrochat.accounts.origins import NotAnOrigin, normalised
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.tokens import KEY_PREFIX, new_secret, secret_hash
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import ApiKey
from kyrochat.db.states import ApiKeyScope
from kyrochat.db.tenancy import Reach
from kyrochat.errors import NotFound, QuotaExceeded
from kyrochat.rules import Rules

MAX_NAME_CHARS = 100
MAX_ORIGINS = 20
MAX_LIFETIME_DAYS = 3_650
# GraphQL's integers end here.
MAX_BUDGET = 2**31 - 1
# More than anybody tells apart; each is a way in.
MAX_KEYS = 100
PREFIX_CHARS = 12


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key shall be. Without `bot_id` it is for all bots, with `allowed_origins` for browsers."""

    name: str
    scopes: frozenset[ApiKeyScope]
    bot_id: UUID | None = None
    allowed_origins: Sequence[str] = ()
    expires_at: datetime | None = None
    expires_in_days: int | None = None
    daily_token_budget: int | None = None


@dataclass(frozen=True, slots=True)
class ApiKeyService:
    """What can be done with API keys."""

    database: Database
    changes: Changes

    async def create(self, viewer: Viewer, workspace_id: UUID | None, wanted: NewKey) -> tuple[ApiKey, str]:
        """Store a new key, and return it with its secret, which is nowhere else.

        Raises:
            InvalidInput: a field breaks a rule.
            NotFound: the viewer does not belong to the workspace, or it has no such bot.
            Forbidden: the viewer is no owner there, or a key himself.
            QuotaExceeded: the workspace has as many keys as it may.
        """
        viewer.must_be_person()
        workspace_id = viewer.workspace(workspace_id)
        viewer.must(Act.MANAGE_KEYS, workspace_id)
        key, secret = _checked(viewer, workspace_id, wanted)
        async with self.database.begin([workspace_id]) as session:
            if key.bot_id and not await key_repository.keep_bot(session, key.bot_id, reach=Reach.of(workspace_id)):
                raise NotFound("bot")
            if await key_repository.count_unrevoked(session, workspace_id) >= MAX_KEYS:
                raise QuotaExceeded(f"This workspace has {MAX_KEYS} API keys, the most it may. Revoke one first.")
            session.add(key)
            await session.flush()
            await session.refresh(key)
            record(
                session,
                AuditAct.API_KEY_CREATED,
                viewer,
                workspace_id=workspace_id,
                of=("ApiKey", key.id),
                details={"scopes": key.scopes, "isPublic": bool(key.allowed_origins), "isForOneBot": bool(key.bot_id)},
            )
        return key, secret

    async def revoke(self, viewer: Viewer, key_id: UUID) -> ApiKey:
        """End a key, its open sockets included, and return it; one that was revoked before stays as it is.

        Owners may, and whoever made it: who finds out that it has leaked must not have to wait.

        Raises:
            NotFound: the viewer has no such key, or it is somebody else's and he no owner.
            Forbidden: he is a key.
        """
        viewer.must_be_person()
        async with self.database.begin(viewer.workspaces) as session:
            key = await key_repository.get(session, key_id, reach=viewer.reach)
            if key is None or not _may_see(viewer, key):
                raise NotFound("API key")
            if key.revoked_at is None:
                key.revoked_at = datetime.now(UTC)
                session.add(key)
                record(
                    session,
                    AuditAct.API_KEY_REVOKED,
                    viewer,
                    workspace_id=key.workspace_id,
                    of=("ApiKey", key.id),
                )
                await self.changes.announce(session, [ACCESS_TOPIC])
            return key

    async def many(self, viewer: Viewer, key_ids: Sequence[UUID]) -> Sequence[ApiKey]:
        """Return those of the keys that the viewer may see: as an owner, or as who made them. In no order."""
        viewer.must_be_person()
        async with self.database.begin(viewer.workspaces) as session:
            found = await key_repository.many(session, key_ids, reach=viewer.reach)
        return [key for key in found if _may_see(viewer, key)]

    async def page(self, viewer: Viewer, workspace_id: UUID | None, request: PageRequest) -> Page[ApiKey]:
        """Return one page of a workspace's keys, newest first, with those that are over.

        Raises:
            NotFound, Forbidden: as for `create`.
        """
        async with self.database.begin(viewer.workspaces) as session:
            return await key_repository.page_of(session, request, reach=_managed(viewer, workspace_id))

    async def count(self, viewer: Viewer, workspace_id: UUID | None) -> int:
        """Return how many keys `page` leads through."""
        async with self.database.begin(viewer.workspaces) as session:
            return await key_repository.count(session, reach=_managed(viewer, workspace_id))

    async def tokens_used_today(self, viewer: Viewer, key_ids: Sequence[UUID]) -> dict[UUID, int]:
        """Return how many tokens the keys' answers took today, in UTC; keys without any are left out."""
        async with self.database.begin(viewer.workspaces) as session:
            return await key_repository.tokens_used(session, key_ids, today())


def _may_see(viewer: Viewer, key: ApiKey) -> bool:
    return key.created_by == viewer.user_id or Act.MANAGE_KEYS.allows(viewer.workspaces[key.workspace_id])


def _managed(viewer: Viewer, workspace_id: UUID | None) -> Reach:
    viewer.must_be_person()
    workspace_id = viewer.workspace(workspace_id)
    viewer.must(Act.MANAGE_KEYS, workspace_id)
    return Reach.of(workspace_id)


def _checked(viewer: Viewer, workspace_id: UUID, wanted: NewKey) -> tuple[ApiKey, str]:
    rules = Rules()
    name = rules.text("name", wanted.name, max_chars=MAX_NAME_CHARS, min_chars=1)
    origins = _origins(rules, wanted.allowed_origins)
    if not wanted.scopes:
        rules.add("scopes", "A key without a scope could do nothing. Name at least one.")
    if wanted.allowed_origins:
        # Whoever looks at the page's source has this key.
        if wanted.scopes != {ApiKeyScope.CHAT}:
            rules.add(
                "scopes", "A key for browsers has the scope CHAT and no other: everybody on the page can read it."
            )
        if wanted.bot_id is None:
            rules.add("botId", "A key for browsers is for one bot. Name it.")
    if wanted.daily_token_budget is not None:
        rules.number("dailyTokenBudget", wanted.daily_token_budget, least=1, most=MAX_BUDGET)
    expires_at = _expiry(rules, wanted)
    rules.enforce()
    secret = new_secret(KEY_PREFIX)
    key = ApiKey(
        workspace_id=workspace_id,
        created_by=viewer.user_id,
        name=name,
        prefix=secret[:PREFIX_CHARS],
        secret_hash=secret_hash(secret),
        scopes=sorted(wanted.scopes),
        bot_id=wanted.bot_id,
        allowed_origins=origins,
        daily_token_budget=wanted.daily_token_budget,
        expires_at=expires_at,
    )
    return key, secret


def _origins(rules: Rules, given: Sequence[str]) -> list[str]:
    if len(given) > MAX_ORIGINS:
        rules.add("allowedOrigins", f"There are {len(given)}; at most {MAX_ORIGINS} are allowed.")
    origins = set()
    for text in given[:MAX_ORIGINS]:
        try:
            origins.add(normalised(text))
        except NotAnOrigin as error:
            rules.add("allowedOrigins", str(error))
    return sorted(origins)


def _expiry(rules: Rules, wanted: NewKey) -> datetime | None:
    now = datetime.now(UTC)
    if wanted.expires_at is not None and wanted.expires_in_days is not None:
        rules.add("expiresInDays", "Give `expiresAt` or `expiresInDays`, not both.")
    if wanted.expires_in_days is not None:
        rules.number("expiresInDays", wanted.expires_in_days, least=1, most=MAX_LIFETIME_DAYS)
        return now + timedelta(days=min(max(wanted.expires_in_days, 1), MAX_LIFETIME_DAYS))
    if wanted.expires_at is None:
        return None
    expires_at = wanted.expires_at if wanted.expires_at.tzinfo else wanted.expires_at.replace(tzinfo=UTC)
    if not now < expires_at <= now + timedelta(days=MAX_LIFETIME_DAYS):
        rules.add("expiresAt", f"It is a time in the next {MAX_LIFETIME_DAYS:,} days.")
    return expires_at
