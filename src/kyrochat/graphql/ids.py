"""Global ids: opaque to clients, a type's name and a row's id to us."""

import base64
import binascii
from uuid import UUID

import strawberry

from kyrochat.errors import NotFound


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
    """Return the row's id of a global id of that type.

    Raises:
        NotFound: it is no such id; whoever guesses learns nothing more.
    """
    found = split_id(value)
    if found is None or found[0] != kind:
        raise NotFound(kind.lower())
    return found[1]
