"""Who asks. Services take a Viewer, and only valid credentials make one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kyrochat.accounts.permissions import Act
from kyrochat.db.states import ApiKeyScope, WorkspaceRole
from kyrochat.db.tenancy import Reach
from kyrochat.errors import Forbidden, NotFound
from kyrochat.rates.service import network


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from. Both are '' at the command line."""

    address: str = ""
    user_agent: str = ""


NOWHERE = Client()


@dataclass(frozen=True, slots=True)
class Page:
    """The web page that a browser is on when it sends a request.

    `origin` is what the browser says, and `is_ours` whether that is the host that it sends to.
    """

    origin: str
    is_ours: bool = False


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What an API key leaves of its creator's rights."""

    key_id: UUID
    scopes: frozenset[ApiKeyScope]
    bot_id: UUID | None = None
    # Whether browsers on other people's machines hold it: then many people share what it may see.
    is_public: bool = False
    daily_token_budget: int | None = None


@dataclass(frozen=True, slots=True)
class Viewer:
    """A user, or a key in the name of the user who made it, and the workspaces within reach."""

    user_id: UUID
    session_id: UUID | None
    workspaces: Mapping[UUID, WorkspaceRole]
    # Where an input names no workspace: a person's personal one, a key's only one.
    default_workspace_id: UUID
    is_admin: bool = False
    key: KeyLimits | None = None
    client: Client = NOWHERE
    # When the credentials end by themselves.
    expires_at: datetime | None = None

    @property
    def reach(self) -> Reach:
        """The rows that queries may find for this viewer."""
        return Reach(tuple(self.workspaces), self.key.bot_id if self.key else None)

    @property
    def key_id(self) -> UUID | None:
        """The API key that asks, or None for a person."""
        return self.key.key_id if self.key else None

    @property
    def speaks_for_many(self) -> bool:
        """Whether a server asks, for people whom we do not know."""
        return self.key is not None and not self.key.is_public

    @property
    def counted_as(self) -> str:
        """Whose limits and places the viewer uses up. A public key is in many browsers: each has its own."""
        if self.key is None:
            return f"user {self.user_id}"
        return f"key {self.key.key_id}" + (f" at {network(self.client.address)}" if self.key.is_public else "")

    def workspace(self, workspace_id: UUID | None) -> UUID:
        """Return the workspace that an input names, or the default one.

        Raises:
            NotFound: the viewer does not belong to it.
        """
        chosen = workspace_id or self.default_workspace_id
        if chosen not in self.workspaces:
            raise NotFound("workspace")
        return chosen

    def must(self, act: Act, workspace_id: UUID | None = None) -> None:
        """Check that the viewer may do that in a workspace of his; without one, that his key may at all.

        Raises:
            NotFound: the viewer does not belong to the workspace.
            Forbidden: his role there is too low, or his key has not the scope.
        """
        if self.key is not None and not act.scopes & self.key.scopes:
            raise Forbidden(_missing_scope(act))
        if self.key is not None and self.key.bot_id is not None and act.is_beyond_bots:
            raise Forbidden(f"This API key is for one bot, and cannot {act.words}.")
        if workspace_id is None:
            return
        role = self.workspaces.get(workspace_id)
        if role is None:
            raise NotFound("workspace")
        if not act.allows(role):
            raise Forbidden(
                f"Your role in this workspace is {role}, and to {act.words} takes {act.role}. Ask an owner."
            )

    def must_be_person(self) -> None:
        """Check that a person asks: keys change nothing about accounts, and make no keys.

        Raises:
            Forbidden: a key asks.
        """
        if self.key is not None:
            raise Forbidden("API keys cannot do this. Sign in, and use an access token.")

    def must_administer(self) -> None:
        """Check that an administrator of this server asks, in person.

        Raises:
            Forbidden: somebody else asks.
        """
        self.must_be_person()
        if not self.is_admin:
            raise Forbidden("Only administrators of this server can do this.")


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever runs commands on the server's machine, and may do there what an administrator may do over the API."""

    @property
    def client(self) -> Client:
        """From nowhere."""
        return NOWHERE

    def must_administer(self) -> None:
        """Be content."""


def _missing_scope(act: Act) -> str:
    if not act.scopes:
        return f"API keys cannot {act.words}. Sign in, and use an access token."
    names = " or ".join(sorted(act.scopes))
    return f"This API key cannot {act.words}: it takes the scope {names}."
