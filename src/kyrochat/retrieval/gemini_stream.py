"""Gemini's stream of an answer, read from the wire: the SDK takes 0.4 ms of processor time a chunk for its models.

Everything else of the SDK stays: its types make the request, and its errors say what went wrong.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2
import orjson

if TYPE_CHECKING:
    from google.genai import types

Chunk = Mapping[str, Any]


@dataclass(slots=True)
class EventReader:
    """Server-sent events out of bytes that are cut anywhere.

    What is no event comes out too, once it is complete: a proxy's or the API's own error, in lines of JSON.
    """

    _rest: bytes = b""
    _data: list[bytes] = field(default_factory=list)
    _stray: list[bytes] = field(default_factory=list)

    def feed(self, received: bytes) -> list[Any]:
        """Return the JSON of the events that are complete now.

        Raises:
            ValueError: an event is no JSON.
        """
        *lines, self._rest = (self._rest + received).split(b"\n")
        found = []
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif not line:
                found += self._event()
            elif not line.startswith((b":", b"event:", b"id:", b"retry:")):
                self._stray.append(line)
        return found

    def close(self) -> list[Any]:
        """Return what was left without an empty line after it."""
        found = self.feed(b"\n\n")
        if self._stray:
            found.append(orjson.loads(b"\n".join(self._stray)))
        return found

    def _event(self) -> list[Any]:
        if not self._data:
            return []
        data, self._data = self._data, []
        return [orjson.loads(b"\n".join(data))]


def request_body(
    contents: "Sequence[types.Content]",
    system_instruction: str,
    tools: "types.ToolListUnion | None",
    tool_config: "types.ToolConfig | None",
    **generation: Any,
) -> bytes:
    """Return the body of a request; what is None is left out."""
    body: dict[str, Any] = {
        "contents": [_plain(content) for content in contents],
        "systemInstruction": {"role": "user", "parts": [{"text": system_instruction}]},
        "generationConfig": {name: _plain(value) for name, value in generation.items() if value is not None},
    }
    if tools:
        body["tools"] = [_plain(tool) for tool in tools]
    if tool_config:
        body["toolConfig"] = _plain(tool_config)
    return orjson.dumps(body)


async def stream_chunks(
    transport: httpx2.AsyncClient, url: str, api_key: str, body: bytes
) -> AsyncGenerator[list[Chunk], None]:
    """Yield what arrives, as it arrives: often one chunk, and all that are there when nobody had the time to look.

    Close it by cancelling whoever reads it, or by `aclosing`: the request ends with it.

    Raises:
        APIError: of the SDK: another status than 200, or an error in the stream.
        HTTPError: of the transport.
        ValueError: what came is no JSON.
    """
    headers = {"x-goog-api-key": api_key, "content-type": "application/json"}
    async with transport.stream("POST", url, params={"alt": "sse"}, content=body, headers=headers) as response:
        if response.status_code != 200:
            raise _api_error(response.status_code, await response.aread())
        reader = EventReader()
        async for received in response.aiter_bytes():
            if chunks := reader.feed(received):
                yield [_checked(chunk) for chunk in chunks]
        if chunks := reader.close():
            yield [_checked(chunk) for chunk in chunks]


def _plain(value: Any) -> Any:
    if not hasattr(value, "model_dump"):
        return value
    return value.model_dump(mode="json", by_alias=True, exclude_none=True)


def _checked(chunk: Any) -> Chunk:
    from google.genai import errors

    if isinstance(chunk, list) and len(chunk) == 1:
        chunk = chunk[0]  # the API's errors come in an array, when they come as the whole body
    if not isinstance(chunk, dict):
        raise errors.UnknownApiResponseError("A chunk is no object.")
    if (error := chunk.get("error")) is not None:
        code = error.get("code") if isinstance(error, dict) else None
        raise errors.APIError(code if isinstance(code, int) else 500, chunk)
    return chunk


def _api_error(status: int, body: bytes) -> Exception:
    from google.genai import errors

    try:
        details = orjson.loads(body)
    except ValueError:
        details = {"message": "no JSON"}  # a page of a proxy
    return errors.APIError(status, details)
