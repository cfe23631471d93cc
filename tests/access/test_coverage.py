"""The walk covers the whole schema: what is new and not covered fails here, and is told what to add and where."""

import pytest

from kyrochat.graphql.permissions import ROOT_FIELDS, Who
from tests.access.actors import Actor, Walk, call
from tests.access.cases import CASES
from tests.access.fields import id_places, nested_fields_with_ids, places_of, root_fields, shown_fields, shown_in
from tests.access.recipes import RECIPES
from tests.access.world import World

# The world of the walk sends no mail.
NEVER_SHOWN = {"PasswordResetRequest.message"}


@pytest.mark.parametrize("coordinate", [*root_fields(), *nested_fields_with_ids()])
def test_every_field_has_a_recipe_and_every_id_is_in_one(coordinate: str) -> None:
    recipes = RECIPES.get(coordinate, [])
    assert recipes, (
        f"Nothing calls {coordinate} with other people's ids, or asks who may use it. Add to RECIPES in "
        f'tests/access/recipes.py: "{coordinate}": [Recipe({{…its arguments, with The("Bot") and the like for ids…}})],'
    )
    missing = id_places(coordinate) - places_of(coordinate, recipes)
    assert missing == set(), (
        f"No recipe of {coordinate} has an id at {sorted('.'.join(place) for place in missing)}. Give it one in "
        'tests/access/recipes.py, even if it may be left out: The("Bot"), or another thing of tests/access/scene.py.'
    )


def test_the_table_of_permissions_has_every_field_and_no_other() -> None:
    missing, unknown = set(root_fields()) - set(ROOT_FIELDS), set(ROOT_FIELDS) - set(root_fields())

    assert missing == set(), "Say who may use it, in ROOT_FIELDS of src/kyrochat/graphql/permissions.py."
    assert unknown == set(), "Remove it from ROOT_FIELDS of src/kyrochat/graphql/permissions.py."


def test_there_are_recipes_only_of_what_is_there() -> None:
    assert set(RECIPES) - set(root_fields()) - set(nested_fields_with_ids()) == set()


async def test_every_field_of_every_type_is_shown_to_somebody(world: World, walk: Walk) -> None:
    """What no answer of the walk shows, no check of the walk looks at."""
    ours = walk.scene.ours
    owner = walk.person(ours, ours.owner)
    (administrator,) = [actor for actor in walk.actors if actor.is_admin]
    nobody = Actor("nobody", {}, owner.things)
    seen: set[str] = set()
    for case in CASES:
        who = owner
        match ROOT_FIELDS[case.coordinate]:
            case Who.ADMINISTRATOR:
                who = administrator
            case Who.ANYBODY if not case.recipe.by_socket:
                who = nobody
        answer = await call(world, who, case.operation(None), who.things)
        seen |= {coordinate for result in answer.results for coordinate in shown_in(result.get("data"))}
        if case.coordinate.startswith("Mutation."):
            await world.undo()

    missing = sorted(shown_fields() - seen - NEVER_SHOWN)
    assert missing == [], (
        "The walk never sees these: a recipe in tests/access/recipes.py must lead to them, and the scene in "
        "tests/access/scene.py must hold such an object."
    )
