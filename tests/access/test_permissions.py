"""Who may use what: the outcome of every field for everybody, as the table in `graphql/permissions.py` says."""

import pytest

from kyrochat.db.states import ApiKeyScope
from kyrochat.graphql.permissions import ROOT_FIELDS, Who, scopes_of
from tests.access.actors import ALLOWED, FORBIDDEN, NOT_SHOWN, Walk, call, expected, outcome
from tests.access.cases import CASES, CLOSED, Case
from tests.access.fields import build, root_fields, shown_fields
from tests.access.recipes import RECIPES
from tests.access.ways import path_to
from tests.access.world import World

# What the table cannot say: by who asks, the field, and the type of the node that it would show.
EXCEPTIONS = {
    ("nobody", "Mutation.refreshSocket", None): "InvalidCredentialsProblem",
    ("somebody with a forged token", "Mutation.refreshSocket", None): "InvalidCredentialsProblem",
    ("key for one bot", "Mutation.createBot", None): FORBIDDEN,
    # They would be all visitors'.
    ("key for browsers", "Query.conversations", None): FORBIDDEN,
    # For owners, and for administrators those to the server; nobody else hears that there is one.
    ("VIEWER", "Mutation.revokeInvitation", None): "NotFoundProblem",
    ("EDITOR", "Mutation.revokeInvitation", None): "NotFoundProblem",
    # The last one, as long as there are others.
    ("administrator", "Mutation.deleteAccount", None): "ConflictProblem",
    ("VIEWER", "Query.node", "Invitation"): NOT_SHOWN,
    ("EDITOR", "Query.node", "Invitation"): NOT_SHOWN,
}


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_everybody_gets_what_the_table_says(world: World, walk: Walk, case: Case) -> None:
    """Whose mutation is allowed really changes something; who is refused leaves no trace."""
    outcomes, wanted, traces, unchanged = {}, {}, {}, []
    for actor in walk.actors:
        if actor.is_admin and case.has_ids and ROOT_FIELDS[case.coordinate] is not Who.ADMINISTRATOR:
            continue  # a stranger to the tenant, like any other
        operation = case.operation(actor)
        outcomes[actor.name] = outcome(await call(world, actor, operation, actor.things), operation)
        wanted[actor.name] = EXCEPTIONS.get((actor.name, case.coordinate, case.recipe.onto), expected(actor, operation))
        if operation.is_mutation:
            changes = await world.undo()
            if changes and outcomes[actor.name] != ALLOWED:
                traces[actor.name] = changes
            if not changes and outcomes[actor.name] == ALLOWED and case.recipe.alters:
                unchanged.append(actor.name)

    assert outcomes == wanted
    assert unchanged == [], "Who was allowed changed nothing: is the recipe in tests/access/recipes.py valid?"
    assert traces == {}
    assert await world.undo() == {}


@pytest.mark.parametrize("scope", list(ApiKeyScope), ids=str)
async def test_a_key_is_refused_every_field_that_its_scope_does_not_open(
    world: World, walk: Walk, scope: ApiKeyScope
) -> None:
    """Below the root, by the shortest way that the scope opens; the refusal names the very field."""
    actor = walk.key(walk.scene.ours, f"key {scope}")
    closed = [coordinate for coordinate in sorted(shown_fields()) if scope not in scopes_of(coordinate)]
    refused, wrong = 0, {}
    for coordinate in closed:
        way = next(
            (
                (root, path)
                for root in root_fields()
                if root in RECIPES and scope in scopes_of(root)
                if (path := path_to(coordinate, root, lambda one: scope in scopes_of(one))) is not None
            ),
            None,
        )
        if way is None:
            continue  # nothing that is open leads to it
        root, path = way
        operation = build(root, RECIPES[root][0], RECIPES, path.__contains__)
        answer = await call(world, actor, operation, actor.things)
        if [error["extensions"] for error in answer.errors] == [{"code": FORBIDDEN, "field": coordinate}]:
            refused += 1
        else:
            wrong[coordinate] = answer

    assert wrong == {}
    assert refused >= (0 if scope is ApiKeyScope.ADMIN else 3)
    assert await world.undo() == {}


@pytest.mark.parametrize(("name", "coordinate"), [(name, one) for name, closed in CLOSED.items() for one in closed])
async def test_keys_of_a_kind_are_refused_what_their_scopes_would_open(
    world: World, walk: Walk, name: str, coordinate: str
) -> None:
    actor = walk.key(walk.scene.ours, name)
    path = path_to(coordinate, "Query.bot", lambda one: bool(actor.key and scopes_of(one) & actor.key.scopes))
    assert path is not None
    operation = build("Query.bot", RECIPES["Query.bot"][0], RECIPES, path.__contains__)

    assert outcome(await call(world, actor, operation, actor.things), operation) == FORBIDDEN
