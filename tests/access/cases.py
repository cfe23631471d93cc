"""Every recipe of every field, as a case of its own."""

from dataclasses import dataclass

from kyrochat.graphql.permissions import scopes_of
from tests.access.actors import Actor
from tests.access.fields import MAX_DEPTH, Opens, Operation, Recipe, build, root_fields
from tests.access.recipes import RECIPES

# What the scopes of a key would open, and its kind does not: whoever looks at a web page has its key, and must not see
# what other readers asked; and who has a key for one bot has nothing to do with the rest.
CLOSED = {
    "key for browsers": {"Bot.conversations"},
    "key for one bot": {"Workspace.members"},
}


@dataclass(frozen=True)
class Case:
    """A recipe of a field, by its number."""

    coordinate: str
    number: int

    def __str__(self) -> str:
        return f"{self.coordinate}-{self.number}" if self.number else self.coordinate

    @property
    def recipe(self) -> Recipe:
        return RECIPES[self.coordinate][self.number]

    @property
    def has_ids(self) -> bool:
        return bool(self.operation(None).ids())

    def operation(self, actor: Actor | None, depth: int = MAX_DEPTH) -> Operation:
        """Return the operation that asks for everything, as deep, that the actor's key, if it is one, opens."""
        return build(self.coordinate, self.recipe, RECIPES, _open_to(actor), depth)


def _open_to(actor: Actor | None) -> Opens:
    if actor is None or actor.key is None:
        return lambda coordinate: True
    scopes = actor.key.scopes
    closed = CLOSED.get(actor.name, set())
    return lambda coordinate: bool(scopes_of(coordinate) & scopes) and coordinate not in closed


CASES = [Case(coordinate, number) for coordinate in root_fields() for number in range(len(RECIPES.get(coordinate, ())))]
CASES_WITH_IDS = [case for case in CASES if case.has_ids]
