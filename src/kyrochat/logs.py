"""Log lines: for people on a terminal, JSON elsewhere. They never hold secrets, questions or document text."""

import logging
import sys
from typing import Any

import structlog

from kyrochat.setting_values import LogFormat

# At INFO these tell what we tell ourselves, or addresses and a line a request.
_QUIET = ("httpx", "httpx2", "httpcore", "google_genai", "pinecone", "trafilatura", "alembic", "uvicorn")


def set_up_logs(log_format: LogFormat, level: int = logging.INFO) -> None:
    """Send all logging to standard error, in one format."""
    as_json = log_format is LogFormat.JSON or (log_format is LogFormat.AUTO and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = (
        [
            # Without locals: they hold passwords, questions and document text.
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
