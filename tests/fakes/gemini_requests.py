"""What Gemini accepts, held against the SDK's own models, and the vectors it answers with."""

import hashlib
import math
import re
from typing import Any

from google.genai import types

MAX_TEXTS_PER_REQUEST = 100
_ANSWER_FIELDS = {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
_EMBEDDING_FIELDS = {"model", "content", "taskType", "title", "outputDimensionality"}
_TASK_TYPES = {"RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY", "SEMANTIC_SIMILARITY"}
_PREFIXES = re.compile(r"^(task: [^|]* \| query: |title: [^|]* \| text: )")


class Refused(Exception):
    """Gemini would answer 400 to this request."""


def check_answer_request(body: dict[str, Any]) -> None:
    _no_more_than(body, _ANSWER_FIELDS)
    contents = [types.Content.model_validate(content) for content in body.get("contents", [])]
    if not contents or contents[0].role != "user" or contents[-1].role != "user":
        raise Refused("contents must begin and end with a user's turn.")
    for content in contents:
        if content.role not in ("user", "model"):
            raise Refused(f"there is no role {content.role!r}.")
        _check_parts(content)
    _check_calls(contents)
    for tool in map(types.Tool.model_validate, body.get("tools", [])):
        if not tool.function_declarations or not all(each.name for each in tool.function_declarations):
            raise Refused("a tool has declarations with names.")
    if "systemInstruction" in body:
        _check_parts(types.Content.model_validate(body["systemInstruction"]))
    config = types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    if config.temperature is not None and not 0 <= config.temperature <= 2:
        raise Refused("temperature must be between 0 and 2.")


def check_embedding_request(model: str, body: dict[str, Any]) -> tuple[list[str], int]:
    """Return the texts and the number of dimensions they are asked for in."""
    _no_more_than(body, {"requests"})
    requests = body.get("requests", [])
    if not 1 <= len(requests) <= MAX_TEXTS_PER_REQUEST:
        raise Refused(f"at most {MAX_TEXTS_PER_REQUEST} requests can be in one batch.")
    dimensions = {request.get("outputDimensionality", 3072) for request in requests}
    if len(dimensions) != 1 or not 128 <= max(dimensions) <= 3072:
        raise Refused("outputDimensionality must be between 128 and 3072.")
    texts = []
    for request in requests:
        _no_more_than(request, _EMBEDDING_FIELDS)
        if request.get("model") != f"models/{model}":
            raise Refused("model must be the one in the path.")
        task_type = request.get("taskType")
        if model.startswith("gemini-embedding-001"):
            if task_type not in _TASK_TYPES:
                raise Refused(f"there is no taskType {task_type!r}.")
        elif task_type is not None:
            raise Refused("this model has no taskType.")
        content = types.Content.model_validate(request.get("content"))
        _check_parts(content)
        texts.append("".join(part.text or "" for part in content.parts or []))
    return texts, dimensions.pop()


def vector_of(text: str, dimensions: int) -> list[float]:
    """The same vector for the same words, near ones for texts that share words, and of no particular length."""
    words = re.findall(r"\w+", _PREFIXES.sub("", text).lower()) or [text]
    vector = [0.0] * dimensions
    for word in words:
        digest = hashlib.blake2b(word.encode(), digest_size=32).digest()
        for position in range(0, len(digest), 4):
            place = int.from_bytes(digest[position : position + 3], "big") % dimensions
            vector[place] += 1.0 if digest[position + 3] % 2 else -1.0
    if not math.hypot(*vector):
        vector[0] = 1.0
    return vector


def _no_more_than(body: dict[str, Any], known: set[str]) -> None:
    if unknown := body.keys() - known:
        raise Refused(f"unknown fields: {sorted(unknown)}.")


def _check_parts(content: types.Content) -> None:
    if not content.parts:
        raise Refused("each content needs parts.")
    for part in content.parts:
        if not (part.text or part.function_call or part.function_response or part.thought_signature):
            raise Refused("each part needs a text, a call or a result.")


def _check_calls(contents: list[types.Content]) -> None:
    """Calls are signed, as from Gemini 3 on they must be, and each is answered by the very next content."""
    open_calls: list[str | None] = []
    for content in contents:
        parts = content.parts or []
        answered = [part.function_response.name for part in parts if part.function_response]
        if answered != open_calls:
            raise Refused(f"the calls {open_calls} are followed by the results {answered}.")
        called = [part for part in parts if part.function_call]
        if called and not called[0].thought_signature:
            raise Refused("Function call is missing a thought_signature in functionCall parts.")
        open_calls = [part.function_call.name for part in called if part.function_call]
    if open_calls:
        raise Refused("the last calls have no results.")
