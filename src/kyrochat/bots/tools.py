"""Use cases of the HTTP tools of bots: what their owners let models call."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository as bots
from kyrochat.bots import tool_repository as tools
from kyrochat.bots.tool_requests import PLACEHOLDER, declared_address
from kyrochat.bots.tool_schema import FIELD as PARAMETERS
from kyrochat.bots.tool_schema import NAME, checked_schema
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, BotTool
from kyrochat.db.states import ToolMethod
from kyrochat.errors import Conflict, InvalidInput, NotConfigured, NotFound
from kyrochat.outbound.address import BadAddress, WebAddress
from kyrochat.outbound.allowed_hosts import AllowedHosts
from kyrochat.rules import Rules
from kyrochat.signing.sealing import Sealer

MAX_TOOLS = 8
MAX_DESCRIPTION_CHARS = 1_000
MAX_HEADERS = 10
MAX_HEADER_CHARS = 4_000
MAX_TIMEOUT_S = 20
RESERVED = ("search_documents",)
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
# What says how a message is framed, and for whom it is, is ours to say.
OUR_HEADERS = frozenset(
    (
        "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect",
        "forwarded", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
    )
)  # fmt: skip
OFF = "HTTP tools are off on this server. Its operator turns them on by naming hosts in KYROCHAT_TOOL_HOSTS."


@dataclass(frozen=True, slots=True)
class NewTool:
    """A tool as its owner declares it. Without `headers` (names and values) it keeps its own, for the same server."""

    name: str
    description: str
    method: ToolMethod
    url: str
    parameters: object
    headers: Sequence[tuple[str, str]] | None = None
    timeout_seconds: int = 10
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class BotToolService:
    """What can be done with tools."""

    database: Database
    hosts: AllowedHosts
    sealer: Sealer

    async def set(self, viewer: Viewer, bot_id: UUID, new: NewTool) -> BotTool:
        """Store a tool in the place of the bot's tool of that name, if it has one, and return it.

        Raises:
            InvalidInput: a field breaks a rule.
            NotConfigured: the operator lets tools call nobody, or not this host.
            NotFound: the viewer has no such bot.
            Forbidden: the viewer does not own the bot's workspace.
            Conflict: the bot has as many tools as it may have.
        """
        async with self.database.begin(viewer.workspaces) as session:
            bot = await _bot(session, viewer, bot_id)
            values = self._checked(new)
            tool = await tools.by_name(session, bot.id, new.name)
            if tool is None:
                if await tools.count(session, bot.id) >= MAX_TOOLS:
                    raise Conflict(f"The bot has {MAX_TOOLS} tools, the most that there may be. Remove one first.")
                tool_id = new_id()
                sealed = self._sealed(tool_id, new.headers or ())
                tool = BotTool(
                    id=tool_id, workspace_id=bot.workspace_id, bot_id=bot.id, name=new.name, sealed_headers=sealed
                )
                tool.header_names = _names(new.headers or ())
            elif new.headers is not None:
                tool.header_names, tool.sealed_headers = _names(new.headers), self._sealed(tool.id, new.headers)
            elif tool.header_names and declared_address(tool.url).origin != declared_address(new.url).origin:
                # Whoever changes the address may not know the secrets, and must not have them sent to a server of his.
                raise InvalidInput.at("headers", "The tool moves to another server: give its headers anew, or [].")
            for name, value in values.items():
                setattr(tool, name, value)
            session.add(tool)
            try:
                await session.flush()
            except IntegrityError as error:
                raise Conflict("Somebody else has changed this tool just now. Try again.") from error
            await session.refresh(tool)
            details: dict[str, str | int | bool | list[str]] = {"enabled": tool.enabled, "headers": tool.header_names}
            of = ("BotTool", tool.id)
            record(session, AuditAct.BOT_TOOL_SET, viewer, workspace_id=bot.workspace_id, of=of, details=details)
            return tool

    async def remove(self, viewer: Viewer, tool_id: UUID) -> UUID:
        """Remove a tool and what was sealed with it.

        Raises:
            NotFound: the viewer has no such tool.
            Forbidden: the viewer does not own the bot's workspace.
        """
        async with self.database.begin(viewer.workspaces) as session:
            tool = await tools.get(session, tool_id)
            if tool is None or tool.workspace_id not in viewer.workspaces:
                raise NotFound("tool")
            await _bot(session, viewer, tool.bot_id)
            await session.delete(tool)
            of = ("BotTool", tool.id)
            record(session, AuditAct.BOT_TOOL_REMOVED, viewer, workspace_id=tool.workspace_id, of=of)
            return tool.id

    async def of_bots(self, viewer: Viewer, bot_ids: Sequence[UUID]) -> Sequence[BotTool]:
        """Return the tools of those of the bots whose workspaces the viewer owns, in the order of their making."""
        async with self.database.begin(viewer.workspaces) as session:
            return [tool for tool in await tools.of_bots(session, bot_ids) if may_see(viewer, tool.workspace_id)]

    async def many(self, viewer: Viewer, tool_ids: Sequence[UUID]) -> Sequence[BotTool]:
        """Return those of the tools that the viewer may see, in no order."""
        async with self.database.begin(viewer.workspaces) as session:
            return [tool for tool in await tools.many(session, tool_ids) if may_see(viewer, tool.workspace_id)]

    def _sealed(self, tool_id: UUID, headers: Sequence[tuple[str, str]]) -> bytes:
        return self.sealer.seal(json.dumps(dict(headers)).encode(), tool_id.bytes)

    def _checked(self, new: NewTool) -> dict[str, Any]:
        if not self.hosts:
            raise NotConfigured(OFF)
        rules = Rules()
        if not NAME.fullmatch(new.name) or new.name in RESERVED:
            rules.add("name", "It has up to 64 letters, digits and _, no digit first, and is not `search_documents`.")
        description = rules.text("description", new.description, max_chars=MAX_DESCRIPTION_CHARS, min_chars=1)
        rules.number("timeoutSeconds", new.timeout_seconds, least=1, most=MAX_TIMEOUT_S)
        parameters = checked_schema(rules, new.parameters)
        _check_headers(rules, new.headers or ())
        # What the address needs of parameters is told once these are in order.
        in_order = parameters if not any(issue.path == (PARAMETERS,) for issue in rules.issues) else {}
        address = _checked_address(rules, new.url, in_order)
        rules.enforce()
        if address is not None and not self.hosts.admit(address):
            raise NotConfigured(
                f"This server's operator does not let tools call {address.origin}; KYROCHAT_TOOL_HOSTS names whom."
            )
        return {
            "description": description,
            "method": new.method.value,
            "url": new.url.strip(),
            "parameters": parameters,
            "timeout_seconds": new.timeout_seconds,
            "enabled": new.enabled,
        }


def may_see(viewer: Viewer, workspace_id: UUID) -> bool:
    """Say whether the viewer may see and change tools there: an owner in person."""
    role = viewer.workspaces.get(workspace_id)
    return role is not None and viewer.key is None and Act.MANAGE_TOOLS.allows(role)


async def _bot(session: AsyncSession, viewer: Viewer, bot_id: UUID) -> Bot:
    # Locked: of two that add a tool at once, one counts the other's.
    bot = await bots.get(session, bot_id, reach=viewer.reach, for_update=True)
    if bot is None:
        raise NotFound("bot")
    viewer.must(Act.MANAGE_TOOLS, bot.workspace_id)
    return bot


def _checked_address(rules: Rules, url: str, parameters: Mapping[str, Any]) -> WebAddress | None:
    try:
        address = declared_address(url)
    except BadAddress as error:
        rules.add("url", error.message)
        return None
    for name in sorted(set(PLACEHOLDER.findall(url))) if parameters else ():
        parameter = parameters["properties"].get(name, {})
        if name not in parameters["required"] or parameter.get("type") not in ("string", "integer"):
            rules.add("url", f"`{{{name}}}` must be a required parameter, a string or an integer.")
    return address


def _names(headers: Sequence[tuple[str, str]]) -> list[str]:
    return sorted(name for name, _ in headers)


def _check_headers(rules: Rules, headers: Sequence[tuple[str, str]]) -> None:
    if len(headers) > MAX_HEADERS or len({name.lower() for name, _ in headers}) < len(headers):
        rules.add("headers", f"There are at most {MAX_HEADERS}, each once.")
    for name, value in headers:
        if not HEADER_NAME.fullmatch(name) or name.lower() in OUR_HEADERS or name.lower().startswith("proxy-"):
            rules.add("headers", f"`{name[:100]}` is no header that can be set.")
        if not HEADER_VALUE.fullmatch(value) or len(value) > MAX_HEADER_CHARS:
            # Not shown: it may be a secret.
            rules.add("headers", f"The value of `{name[:100]}` is empty, too long, or has letters that no header has.")
