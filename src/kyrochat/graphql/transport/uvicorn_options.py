"""How uvicorn must run this server."""

from typing import Any

from kyrochat.graphql.transport.http_protocol import AbortingHTTP
from kyrochat.graphql.transport.ws_protocol import AbortingWS

WS_MAX_BYTES = 256 * 1024

UVICORN_OPTIONS: dict[str, Any] = {
    "http": AbortingHTTP,
    "ws": AbortingWS,
    "ws_max_size": WS_MAX_BYTES,
    # 38 KB instead of 81 KB per idle socket, and no decompression bombs.
    "ws_per_message_deflate": False,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    # Longer than the proxies in front keep theirs: who closes first may lose the other's next request.
    "timeout_keep_alive": 75,
    # Open event streams would hold the exit for ever.
    "timeout_graceful_shutdown": 20,
    "server_header": False,
    # Who is believed about where clients are is a setting of ours.
    "proxy_headers": False,
}
