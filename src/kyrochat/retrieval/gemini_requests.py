"""A prompt in the SDK's own types."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from kyrochat.retrieval.prompting import user_content
from kyrochat.retrieval.types import Prompt, Step

if TYPE_CHECKING:
    from google.genai import types


def contents_of(prompt: Prompt) -> "list[types.Content]":
    """Return the turns, user first, the question with its passages, and what was called in this answer."""
    from google.genai import types

    contents: list[types.Content] = []
    for turn in prompt.history:
        if not turn.text:
            continue  # The answer failed before its first word; Gemini refuses empty parts.
        if turn.role == "user":
            contents.append(types.UserContent(turn.text))
        elif contents:
            contents.append(types.ModelContent(turn.text))
    contents.append(types.UserContent(user_content(prompt)))
    for step in prompt.steps:
        contents += _said_and_done(step)
    return contents


def tools_of(prompt: Prompt) -> "types.ToolListUnion | None":
    """Return what the model may ask for."""
    from google.genai import types

    if not prompt.tools:
        return None
    declared = [
        types.FunctionDeclaration(
            name=tool.name,
            description=tool.description,
            # An object without properties is refused by some of its models; nothing says the same.
            parameters_json_schema=dict(tool.parameters) if tool.parameters["properties"] else None,
        )
        for tool in prompt.tools
    ]
    return [types.Tool(function_declarations=declared)]


def tool_config_of(prompt: Prompt) -> "types.ToolConfig | None":
    """Return that nothing may be asked for any more, where that is so."""
    from google.genai import types

    if not prompt.tools or prompt.may_call:
        return None
    none = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.NONE)
    return types.ToolConfig(function_calling_config=none)


def thinking_of(wanted: str) -> "types.ThinkingConfig | None":
    """Return how to think: models from 3 on take a level, those before a number of tokens."""
    from google.genai import types

    if not wanted:
        return None
    if wanted.isdigit():
        return types.ThinkingConfig(thinking_budget=int(wanted), include_thoughts=False)
    return types.ThinkingConfig(thinking_level=types.ThinkingLevel(wanted.upper()), include_thoughts=False)


def _said_and_done(step: Step) -> "list[types.Content]":
    from google.genai import types

    said = cast("Sequence[types.Part]", step.raw)
    results = [
        types.Part.from_function_response(name=call.name, response={"result": result})
        for call, result in zip(step.calls, step.results, strict=True)
    ]
    # The API tells calls of one name apart by their ids, where it gave them any.
    ids = [part.function_call.id for part in said if part.function_call]
    for part, call_id in zip(results, ids, strict=True):
        if part.function_response is not None:
            part.function_response.id = call_id
    return [types.Content(role="model", parts=[*said]), types.Content(role="user", parts=results)]
