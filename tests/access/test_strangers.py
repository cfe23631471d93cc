"""Whatever id of somebody else's is sent, and wherever: the answer is that to an id of nothing, and nothing changes."""

import json
import re
from collections.abc import Generator, Mapping

import pytest

from kyrochat.graphql.ids import split_id
from tests.access.actors import Actor, Walk, call, unknown
from tests.access.asgi import Answer
from tests.access.cases import CASES_WITH_IDS, Case
from tests.access.cast import Things
from tests.access.fields import Operation, Place
from tests.access.world import World

# There is nothing below what is not there; a page is as deep.
DEPTH = 2
NO_IDS = ["garbage", "", "=", "QQ", "\u00e9", "1" * 5000]


def choices(operation: Operation, foreign: Things, own: Things) -> Generator[dict[Place, str], None, None]:
    """Yield somebody else's ids by place: in all places at once, then in each alone, among ids of one's own."""
    ids = {place: foreign[the.name] for place, the in operation.ids().items() if foreign[the.name] != own[the.name]}
    if ids:
        yield ids
    if len(ids) > 1:
        yield from ({place: id_} for place, id_ in ids.items())


def masked(answer: Answer, ids: Mapping[Place, str]) -> str:
    """Return all of an answer, status and errors included, without the ids themselves."""
    text = json.dumps([answer.status, answer.results], sort_keys=True)
    text = re.sub(r'"milliseconds": [0-9.e-]+', '"milliseconds": 0', text)
    for place, id_ in ids.items():
        # Not where it only begins a whole one, as an id that was cut does.
        text = re.sub(rf"{re.escape(id_)}(?![A-Za-z0-9_-])", f"<{place}>", text)
    return text


async def differences(
    world: World, actor: Actor, case: Case, foreign: Things, word: str = "INTERNAL_SERVER_ERROR"
) -> list[tuple[str, str]]:
    """Return the answers to somebody else's ids that are not those to unknown ones, or hold a word, with these."""
    operation, found = case.operation(actor, DEPTH), []
    for ids in choices(operation, foreign, actor.things):
        nothing = {place: unknown(id_) for place, id_ in ids.items()}
        for by_socket in (False, True) if operation.is_subscription else (False,):
            to_foreign, to_unknown = [
                masked(await call(world, actor, operation, actor.things, each, by_socket=by_socket), each)
                for each in (ids, nothing)
            ]
            if to_foreign != to_unknown or word in to_foreign or "INTERNAL_SERVER_ERROR" in to_foreign:
                found.append((to_foreign, to_unknown))
    return found


@pytest.mark.parametrize("case", CASES_WITH_IDS, ids=str)
async def test_another_tenants_ids_are_like_unknown_ones(netted: World, walk: Walk, case: Case) -> None:
    ours, theirs = walk.scene.ours, walk.scene.theirs
    stranger = walk.person(theirs, theirs.owner)

    things = walk.person(ours, ours.owner).things

    assert await differences(netted, stranger, case, things, ours.word) == []
    assert await netted.undo() == {}


@pytest.mark.parametrize("case", CASES_WITH_IDS, ids=str)
async def test_ids_of_another_member_another_bot_or_a_private_talk_are_like_unknown_ones(
    world: World, walk: Walk, case: Case
) -> None:
    """Inside one workspace, where scoping is the only net."""
    ours = walk.scene.ours
    owner = walk.person(ours, ours.owner)
    others = {
        "a colleague": (walk.person(ours, next(iter(ours.members.values()))), owner.things),
        "the key of another bot": (walk.key(ours, "key for one bot"), walk.person(ours, ours.owner, bot=1).things),
        "the key in a web page": (walk.key(ours, "key for browsers"), owner.things),
    }

    found = {who: await differences(world, actor, case, foreign) for who, (actor, foreign) in others.items()}

    assert found == {who: [] for who in others}
    assert await world.undo() == {}


@pytest.mark.parametrize("case", CASES_WITH_IDS, ids=str)
async def test_what_is_no_id_is_like_an_unknown_one(world: World, walk: Walk, case: Case) -> None:
    ours = walk.scene.ours
    owner, operation = walk.person(ours, ours.owner), case.operation(None, DEPTH)
    for place, the in operation.ids().items():
        id_ = owner.things[the.name]
        kind, _ = split_id(id_) or ("", None)
        of_other_kind = [owner.things["Bot" if kind == "User" else "User"]] if case.recipe.onto is None else []
        nothing = {place: unknown(id_)}
        expected = masked(await call(world, owner, operation, owner.things, nothing), nothing)

        for one in [*NO_IDS, id_[:-3], *of_other_kind]:
            garbage = {place: one}
            answer = await call(world, owner, operation, owner.things, garbage)
            assert masked(answer, garbage if len(one) > 1 else {}) == expected, one
    assert await world.undo() == {}
