"""Calls the HTTP tools of bots for their models: to hosts that the operator named, with secrets that nobody sees."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from kyrochat.bots.tool_requests import request_of
from kyrochat.bots.tool_schema import problem_of
from kyrochat.chat.events import ToolCalled
from kyrochat.db.models import BotTool
from kyrochat.db.storable import storable, storable_json
from kyrochat.errors import FetchFailed
from kyrochat.outbound.allowed_hosts import AllowedHosts
from kyrochat.outbound.calling import Answer, Caller
from kyrochat.retrieval.prompting import tool_result
from kyrochat.retrieval.types import Tool, ToolCall
from kyrochat.signing.sealing import Sealer, Unsealable

MAX_RESULT_CHARS = 8_000
MAX_SHOWN_CHARS = 2_000
# Shorter ones are no secrets, and would tear holes into what is said.
LEAST_SECRET_CHARS = 8
HIDDEN = "(hidden)"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpTools:
    """The tools that models may call on this server."""

    caller: Caller
    hosts: AllowedHosts
    sealer: Sealer

    async def use(self, tool: BotTool, call: ToolCall) -> tuple[str, ToolCalled]:
        """Return what the model is told, and the event of it. What goes wrong is told it, and is no failure."""
        if call.arguments is None:
            return self._in_vain(tool, call, "The arguments are no JSON object.")
        if problem := problem_of(tool.parameters, call.arguments):
            return self._in_vain(tool, call, problem)
        try:
            headers = json.loads(self.sealer.open(tool.sealed_headers, tool.id.bytes))
            answer = await self._called(tool, call.arguments, headers)
        except Unsealable:
            log.warning("The secrets of a tool cannot be read any more", extra={"tool_id": str(tool.id)})
            return self._in_vain(tool, call, "The tool's secrets cannot be read any more. Its owner must set it again.")
        except FetchFailed as error:
            return self._in_vain(tool, call, error.message)
        text = _text_of(answer)
        if text is None:
            return self._in_vain(tool, call, "The tool's answer is neither JSON nor text.")
        for secret in headers.values():
            text = _without(secret, text)
        problem = None if answer.status < 300 else f"The tool answered with status {answer.status}."
        said = storable(text)[:MAX_RESULT_CHARS]
        told = tool_result(tool.name, f"{problem}\n{said}" if problem else said)
        return told, ToolCalled(tool.name, _shown(call.arguments), problem=problem)

    async def _called(self, tool: BotTool, arguments: Mapping[str, object], headers: Mapping[str, str]) -> Answer:
        address, body = request_of(tool.method, tool.url, tool.parameters, arguments)
        if not self.hosts.admit(address):  # the operator may have changed his mind since it was set
            raise FetchFailed("This server does not let tools call that host any more.")
        return await self.caller.call(tool.method, address, list(headers.items()), body, limit_s=tool.timeout_seconds)

    def _in_vain(self, tool: BotTool, call: ToolCall, problem: str) -> tuple[str, ToolCalled]:
        return problem, ToolCalled(tool.name, _shown(call.arguments or {}), problem=problem)


def declared(tool: BotTool) -> Tool:
    """Return a bot's tool as models are told of it."""
    return Tool(tool.name, tool.description, tool.parameters)


def _without(secret: str, text: str) -> str:
    """Return the text without the value of a header: a server may say what it was sent, as it is or in JSON."""
    # "Bearer" and the like are part of the value, not of the secret.
    for part in (secret, secret.rpartition(" ")[2]):
        if len(part) >= LEAST_SECRET_CHARS:
            in_json = json.dumps(part)[1:-1]
            for written in (part, in_json, in_json.replace("/", "\\/")):
                text = text.replace(written, HIDDEN)
    return text


def _text_of(answer: Answer) -> str | None:
    is_text = answer.media_type.startswith("text/") or answer.media_type.partition("+")[2] == "json"
    if not (is_text or answer.media_type in ("", "application/json")):
        return None
    return answer.body.decode("utf-8", "replace")


def _shown(arguments: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments as the log keeps them: as far as they have an ordinary size."""
    kept = {storable(name): storable_json(value) for name, value in arguments.items()}
    return kept if len(json.dumps(kept)) <= MAX_SHOWN_CHARS else {"left_out": "The arguments are too long to show."}
