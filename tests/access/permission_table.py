"""Writes the tables of docs/permissions.md from the code that holds them: `make docs-permissions`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from kyrochat.accounts.permissions import ROLES, Act
from kyrochat.db.states import ApiKeyScope
from kyrochat.graphql.permissions import FIELDS, NODES, ROOT_FIELDS, TYPES, Permission, Who

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
_TABLE = re.compile(r"(?<=<!-- table: )(?P<name>\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
_YES, _NO = "yes", "–"


def main() -> None:
    """Bring the page up to date."""
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")


def filled(page: str) -> str:
    """Return the page with all its tables as the code has them now."""
    tables = {"acts": _acts(), "operations": _operations(), "nodes": _nodes(), "fields": _fields()}
    return _TABLE.sub(lambda match: f"{match['name']}{match[2]}\n{tables[match['name']]}\n\n", page)


def _acts() -> str:
    heads = ["To", *ROLES, *(f"key {scope}" for scope in ApiKeyScope)]
    return _table(
        heads,
        ([act.words, *(_YES if act.allows(role) else _NO for role in ROLES), *_scopes(act.scopes)] for act in Act),
    )


def _operations() -> str:
    rows = (
        [f"`{coordinate.partition('.')[2]}`", coordinate.partition(".")[0].lower(), *_who(permission)]
        for coordinate, permission in ROOT_FIELDS.items()
    )
    return _table(["Operation", "Kind", "People", *(f"key {scope}" for scope in ApiKeyScope)], rows)


def _nodes() -> str:
    rows = ([f"`{kind}`", *_who(permission)] for kind, permission in NODES.items())
    return _table(["Type", "People", *(f"key {scope}" for scope in ApiKeyScope)], rows)


def _fields() -> str:
    of_types: Mapping[str, frozenset[ApiKeyScope]] = {f"{kind}.*": scopes for kind, scopes in TYPES.items()}
    rows = ([f"`{name}`", *_scopes(scopes)] for name, scopes in sorted({**of_types, **FIELDS}.items()))
    return _table(["Field", *(f"key {scope}" for scope in ApiKeyScope)], rows)


def _who(permission: Permission) -> list[str]:
    """Return who may among people, and which scopes open it to keys."""
    match permission:
        case Act():
            above = "" if permission.role is ROLES[-1] else " and above"
            return [f"{permission.role}{above}", *_scopes(permission.scopes)]
        case Who.ANYBODY:
            return ["everybody, signed in or not", *_scopes(ApiKeyScope)]
        case Who.SIGNED_IN:
            return ["whoever is signed in", *_scopes(ApiKeyScope)]
        case Who.PERSON:
            return ["whoever is signed in", *_scopes(())]
        case Who.ADMINISTRATOR:
            return ["administrators of the server", *_scopes(())]


def _scopes(scopes: Iterable[ApiKeyScope]) -> list[str]:
    return [_YES if scope in scopes else _NO for scope in ApiKeyScope]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
