"""The tools behind the MCP SDK. Imported with the first request: the SDK takes a second or two."""

import json
import logging
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.outage import is_outage
from kyrochat.errors import KyroError, Overloaded
from kyrochat.mcp_api.tools import DOCUMENT_URI, TOOLS, VIEWER, ToolServices, read_document

MAX_BODY_BYTES = 256 * 1024
# JSON-RPC's own, for arguments that are wrong, and for what is wrong here.
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603

log = logging.getLogger(__name__)


def open_manager(services: Callable[[], ToolServices], version: str) -> StreamableHTTPSessionManager:
    """Return what answers requests whose scope has a `VIEWER`. No sessions: any process answers any request."""
    server: Server[Any] = Server(
        "kyrochat",
        version=version,
        title="KyroChat",
        instructions="Bots that answer from their own documents, with citations. Begin with list_bots.",
        on_list_tools=_list_tools,
        on_call_tool=_calling(services),
        on_list_resource_templates=_list_templates,
        on_read_resource=_reading(services),
    )
    return StreamableHTTPSessionManager(
        server, stateless=True, json_response=True, max_request_body_size=MAX_BODY_BYTES
    )


async def _list_tools(context: Any, params: Any) -> types.ListToolsResult:
    del context, params
    return types.ListToolsResult(
        tools=[
            types.Tool(
                name=tool.name,
                title=tool.title,
                description=tool.description,
                input_schema=tool.schema,
                annotations=types.ToolAnnotations(read_only_hint=tool.is_read_only, open_world_hint=False),
            )
            for tool in TOOLS
        ]
    )


def _calling(services: Callable[[], ToolServices]) -> Any:
    by_name = {tool.name: tool for tool in TOOLS}

    async def call(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, "There is no such tool.")
        unknown = sorted(set(params.arguments or {}) - set(tool.properties))
        if unknown:
            return _failed(f"{tool.name} takes {', '.join(tool.properties) or 'nothing'}, and nothing else.")
        try:
            result = await tool.run(services(), _viewer(context), params.arguments or {})
        except Exception as error:
            return _failed(_told(error))
        text = json.dumps(result, ensure_ascii=False)
        return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=result)

    return call


async def _list_templates(context: Any, params: Any) -> types.ListResourceTemplatesResult:
    del context, params
    return types.ListResourceTemplatesResult(
        resource_templates=[
            types.ResourceTemplate(
                name="document",
                title="Document",
                uri_template=DOCUMENT_URI + "{id}",
                description="The text of a document, as search_documents and ask_bot name it.",
                mime_type="text/plain",
            )
        ]
    )


def _reading(services: Callable[[], ToolServices]) -> Any:
    async def read(context: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        uri = str(params.uri)
        try:
            text = await read_document(services(), _viewer(context), uri)
        except Exception as error:  # the SDK would tell all of it
            code = INVALID_PARAMS if isinstance(error, KyroError) else INTERNAL_ERROR
            raise MCPError(code, _told(error)) from None
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type="text/plain", text=text)]
        )

    return read


def _viewer(context: Any) -> Viewer:
    viewer: Viewer = context.request.scope[VIEWER]
    return viewer


def _told(error: Exception) -> str:
    """Return what may be said of a failure. What nobody foresaw is told to the log only."""
    if isinstance(error, KyroError):
        return error.message
    if is_outage(error):
        return Overloaded().message
    log.error("An MCP request failed", exc_info=error)
    return "Internal server error"


def _failed(message: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=message)], is_error=True)
