"""How a command of the command line is run: settings in, one line for what may go wrong, an exit code."""

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kyrochat.settings import Settings

data_dir_option = click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Files, secrets and the embedded database."
)


def run_command(make: Any, *, quiet: bool = False, **options: Any) -> None:
    """Run a command's coroutine. An expected failure is one line and exit code 1, never a traceback."""
    import asyncio
    import logging

    from kyrochat.errors import KyroError
    from kyrochat.logs import set_up_logs

    try:
        settings = read_settings(options)
        set_up_logs(settings.log_format, logging.WARNING if quiet else logging.INFO)
        coroutine: Coroutine[Any, Any, None] = make(settings)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(coroutine)
    except KyroError as error:
        raise click.ClickException(error.message) from error
    except KeyboardInterrupt:
        sys.exit(130)


def read_settings(options: dict[str, Any]) -> "Settings":
    """Return the settings, with a command's options in the place of the environment's."""
    from pydantic import ValidationError

    from kyrochat.settings import Settings

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"KYROCHAT_{str(problem['loc'][0]).removeprefix('KYROCHAT_').upper()}: {problem['msg']}"
            for problem in error.errors()
        )
        raise click.ClickException(f"A setting is wrong: {problems}") from error


def _loop_factory() -> Any:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
