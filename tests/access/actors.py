"""Who calls: everybody in the scene with what they bring and what is theirs, and what is expected of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from kyrochat.accounts.permissions import Act
from kyrochat.db.states import WorkspaceRole
from kyrochat.graphql.ids import global_id, split_id
from kyrochat.graphql.permissions import NODES, ROOT_FIELDS, Permission, Who
from tests.access.asgi import CLOSED, Answer, over_socket, post
from tests.access.cast import PASSWORD, Key, Person, Scene, Tenant, Things
from tests.access.fields import Operation, Place, The, filled
from tests.access.world import Mould, World

ALLOWED, FORBIDDEN, UNAUTHENTICATED = "allowed", "FORBIDDEN", "UNAUTHENTICATED"
# Of a Node whose type is closed to a key: nothing, or no permission.
NOT_SHOWN = "not shown"
LOGIN = """mutation ($email: String!, $password: String!) { login(input: {email: $email, password: $password}) {
  ... on Session { accessToken refreshToken } } }"""


@dataclass(frozen=True)
class Actor:
    """Somebody who calls, from a place where these things are his."""

    name: str
    headers: Mapping[str, str]
    things: Things
    role: WorkspaceRole | None = None
    is_admin: bool = False
    key: Key | None = None


@dataclass(frozen=True, repr=False)
class Walk:
    """The scene, and how to get a world with it."""

    mould: Mould
    scene: Scene
    credentials: Mapping[str, Things]

    def person(self, tenant: Tenant, person: Person, bot: int = 0) -> Actor:
        """Return a member of a tenant."""
        role = next((role for role, one in tenant.members.items() if one is person), WorkspaceRole.OWNER)
        return Actor(role.value, self._headers(person), self._things(tenant, person, bot), role)

    @property
    def actors(self) -> list[Actor]:
        """Everybody who may come to our tenant: nobody, its people, an administrator, and its keys."""
        ours, root = self.scene.ours, self.scene.administrator
        theirs = self._things(ours, ours.owner)
        return [
            Actor("nobody", {}, theirs),
            Actor("somebody with a forged token", {"Authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, theirs),
            *(self.person(ours, person) for person in (*ours.members.values(), ours.owner)),
            Actor(
                "administrator",
                self._headers(root),
                {**theirs, **root.things, **self.credentials[root.name]},
                is_admin=True,
            ),
            *(self.key(ours, name) for name in ours.keys),
        ]

    def key(self, tenant: Tenant, name: str) -> Actor:
        """Return a key of a tenant, with what is its owner's; with a key for browsers, what began with one."""
        key = tenant.keys[name]
        things = {**self._things(tenant, tenant.owner), "accessToken": key.headers["Authorization"].split()[1]}
        if name == "key for browsers":
            things = {**things, **tenant.public}
        return Actor(name, key.headers, things, key=key)

    def _headers(self, person: Person) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.credentials[person.name]['accessToken']}"}

    def _things(self, tenant: Tenant, person: Person, bot: int = 0) -> Things:
        return {**tenant.things(person, bot), **self.credentials[person.name]}


async def sign_in(world: World, scene: Scene) -> dict[str, Things]:
    """Sign everybody in, and return what each has then."""
    credentials: dict[str, Things] = {}
    for person in scene.people:
        answer = await post(world.app, LOGIN, {"email": person.email, "password": PASSWORD}, {})
        session = answer.value("login")
        assert session is not None, answer
        credentials[person.name] = {**session, "email": person.email}
    return credentials


async def call(
    world: World,
    actor: Actor,
    operation: Operation,
    things: Things,
    ids: Mapping[Place, str] | None = None,
    *,
    by_socket: bool = False,
) -> Answer:
    """Send an operation on these things, with other `ids` in some places."""
    ids = ids or {}
    variables: Any = filled(
        operation.template, lambda place, the: ids[place] if place in ids else found(things, the, operation)
    )
    app, query, most = world.app, operation.query, operation.recipe.most
    if by_socket or operation.recipe.by_socket:
        return await over_socket(app, query, variables, actor.headers, most=most)
    file = ("note.md", b"# A note\n\nOf something new.") if operation.has_file else None
    streams = operation.is_subscription
    return await post(app, query, variables, actor.headers, file=file, streams=streams, most=most)


def found(things: Things, the: The, operation: Operation) -> str:
    """Return a thing."""
    assert the.name in things, (
        f'The recipe of {operation.coordinate} wants The("{the.name}"), which nobody has: '
        "add it to the scene, in tests/access/scene.py."
    )
    return things[the.name]


def unknown(id_: str) -> str:
    """Return an id of the same type that nothing has."""
    split = split_id(id_)
    assert split is not None, f"{id_} is no id of ours"
    return str(global_id(split[0], uuid4()))


def outcome(answer: Answer, operation: Operation) -> str:
    """Return `allowed` when the field answered without a problem, and the problem or the first code otherwise."""
    if any(CLOSED in result for result in answer.results):
        return CLOSED
    value = answer.value(operation.name)
    codes = [str(error["extensions"]["code"]) for error in answer.errors]
    if operation.recipe.onto and value in (None, [None]) and codes in ([], [FORBIDDEN]):
        return NOT_SHOWN
    if codes:
        return codes[0]
    if isinstance(value, dict) and str(value.get("__typename")).endswith("Problem"):
        return ALLOWED if value["__typename"] == operation.recipe.problem else str(value["__typename"])
    return ALLOWED if value is not None else "nothing"


def expected(actor: Actor, operation: Operation) -> str:
    """Return what the table of permissions says."""
    permission = ROOT_FIELDS[operation.coordinate]
    if permission is Who.ANYBODY:
        return ALLOWED
    if "Authorization" not in actor.headers or "forged" in actor.name:
        return UNAUTHENTICATED
    if not _may(actor, permission):
        return FORBIDDEN
    # Of a node whose type is closed to him.
    return NOT_SHOWN if operation.recipe.onto and not _may(actor, NODES[operation.recipe.onto]) else ALLOWED


def _may(actor: Actor, permission: Permission) -> bool:
    if isinstance(permission, Act):
        if actor.key is not None:
            is_beyond = permission.is_beyond_bots and actor.key.bot_id is not None
            return bool(permission.scopes & actor.key.scopes) and not is_beyond
        return actor.role is None or permission.allows(actor.role)
    if permission is Who.ADMINISTRATOR:
        return actor.is_admin
    return permission is Who.SIGNED_IN or actor.key is None
