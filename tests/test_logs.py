"""What a log line holds, and what it never does."""

import io
import json
import logging
from collections.abc import Generator

import pytest

from kyrochat.logs import set_up_logs
from kyrochat.setting_values import LogFormat


@pytest.fixture
def root() -> Generator[logging.Logger, None, None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.CONSOLE])
def test_a_traceback_is_logged_without_the_values_of_variables(root: logging.Logger, log_format: LogFormat) -> None:
    set_up_logs(log_format)
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream := io.StringIO())

    fail(password="hunter2-secret")

    line = stream.getvalue()
    assert "ZeroDivisionError" in line
    assert "hunter2-secret" not in line
    if log_format is LogFormat.JSON:
        assert json.loads(line)["event"] == "It failed"


def fail(password: str) -> None:
    try:
        len(password) / 0
    except ZeroDivisionError:
        logging.getLogger("kyrochat.test").exception("It failed")
