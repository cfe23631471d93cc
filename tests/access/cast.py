"""Who is in the scene, and what is whose."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from kyrochat.db.states import ApiKeyScope, WorkspaceRole

PASSWORD = "correct horse battery staple"
ORIGIN = "https://shop.example"
# A name for what a recipe may ask for, and its global id; or a secret, or words.
Things = dict[str, str]


@dataclass(frozen=True)
class Person:
    """Somebody with an account; `things` are the account's own."""

    name: str
    user_id: UUID
    things: Things

    @property
    def email(self) -> str:
        return f"{self.name}@example.org"


@dataclass(frozen=True)
class Key:
    """An API key of a tenant's owner, and the headers that bring it."""

    id: UUID
    scopes: frozenset[ApiKeyScope]
    headers: Mapping[str, str]
    bot_id: UUID | None = None


@dataclass(frozen=True)
class Tenant:
    """A workspace with its people. `shared` are things that all members see; those below are by bot and by person."""

    word: str
    workspace_id: UUID
    owner: Person
    members: Mapping[WorkspaceRole, Person]
    shared: Things
    of_bots: tuple[Things, Things]
    # By person and number of the bot; what began with a key in a web page has a place of its own.
    private: Mapping[tuple[str, int], Things]
    public: Things
    keys: Mapping[str, Key]

    def things(self, person: Person, bot: int = 0) -> Things:
        """Return what is a person's in this tenant, on one of its bots."""
        return {**self.shared, **self.of_bots[bot], **self.private[person.name, bot], **person.things}


@dataclass(frozen=True)
class Scene:
    """All that is there."""

    ours: Tenant
    theirs: Tenant
    administrator: Person

    @property
    def people(self) -> list[Person]:
        return [self.ours.owner, *self.ours.members.values(), self.theirs.owner, self.administrator]
