"""What comes in with a file: its name, and its bytes piece by piece."""

from collections.abc import AsyncGenerator, AsyncIterator

from kyrochat.documents.media_types import HEAD_BYTES

MAX_NAME_CHARS = 300


def safe_name(filename: str | None) -> str:
    """Return the last part of a file name, without control characters; it is shown, never opened."""
    last = (filename or "").replace("\\", "/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable()).strip()[:MAX_NAME_CHARS]


async def once(data: bytes) -> AsyncGenerator[bytes, None]:
    """Yield all bytes in one piece."""
    yield data


async def peek(content: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """Return the first bytes, and an iterator over all of them."""
    head = b""
    async for piece in content:
        head += piece
        if len(head) >= HEAD_BYTES:
            break

    async def whole() -> AsyncGenerator[bytes, None]:
        yield head
        async for piece in content:
            yield piece

    return head[:HEAD_BYTES], whole()
