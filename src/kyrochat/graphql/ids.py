"""Global ids: opaque to clients, a type's name and a row's id to us."""

import base64
import binascii
from uuid import UUID

import strawberry
from strawberry import UNSET

NOBODYS_ID = UUID(int=0)


def global_id(kind: str, row_id: UUID) -> strawberry.ID:
    """Return the id that clients see of a row."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{kind}:{row_id}".encode()).rstrip(b"=").decode())


def split_id(value: str) -> tuple[str, UUID] | None:
    """Return the type's name and the row's id, or None for what is not an id of ours."""
    try:
        kind, _, row_id = base64.b64decode(value + "=" * (-len(value) % 4), "-_", validate=True).decode().partition(":")
        return kind, UUID(row_id)
    except (binascii.Error, ValueError):
        return None


def row_id(kind: str, value: str) -> UUID:
    """Return the row's id of a global id of that type; of anything else, an id that no row has.

    So what is no id is looked for like what is one, under the same rules, and is answered alike: whoever guesses
    learns nothing, and whoever has not signed in is told that first.
    """
    found = split_id(value)
    return found[1] if found is not None and found[0] == kind else NOBODYS_ID


def optional_row_id(kind: str, value: str | None) -> UUID | None:
    """Return the same for an id that may be left out: None when it is. An empty text is no id, and not left out."""
    return None if value is None or value is UNSET else row_id(kind, value)
