"""What things are called in Pinecone. Nothing that a client sends leads here."""

from hashlib import blake2b
from uuid import UUID

# The length of vectors in indexes that bear the configured name; indexes for other lengths have it in their names.
PLAIN_DIMENSIONS = 768
_KEY_BYTES = 4


def index_name(configured: str, dimensions: int) -> str:
    """Return the name of the index for vectors of that length: an index can hold those of one length only."""
    return configured if dimensions == PLAIN_DIMENSIONS else f"{configured}-{dimensions}"


def namespace_of(workspace_id: UUID) -> str:
    """Return where a workspace's vectors are."""
    return f"ws-{workspace_id.hex}"


def vector_id(chunk_id: UUID, scheme: str) -> str:
    """Return the id of a chunk's vector: while a bot moves to another model, a chunk has two."""
    key = blake2b(scheme.encode(), digest_size=_KEY_BYTES).hexdigest()
    return f"{chunk_id}:{key}"


def chunk_of(name: str) -> UUID | None:
    """Return the chunk that an id names, with or without a scheme's key; None for ids that are not ours."""
    bare = name.partition(":")[0]
    try:
        chunk_id = UUID(bare)
    except ValueError:
        return None
    return chunk_id if str(chunk_id) == bare else None
