"""The use cases in a process of one's own, beside servers or without any: for commands at the terminal."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.access import database_access
from kyrochat.db.models import Bot
from kyrochat.errors import NotFound
from kyrochat.graphql.ids import split_id
from kyrochat.runtime import Runtime, running
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings


@asynccontextmanager
async def opened(settings: Settings, *, workers: int | None = None) -> AsyncGenerator[Runtime, None]:
    """Run everything but the web server meanwhile, with so many workers."""
    # Documents must be ingested here: there may be no other worker. And whoever sits at the terminal is no stranger.
    workers = (settings.workers or 1) if workers is None else workers
    settings = settings.model_copy(update={"workers": workers, "rate_limits": Switch.OFF})
    async with database_access(settings) as access, running(settings, access) as runtime:
        yield runtime


async def find_bot(runtime: Runtime, name: str, email: str | None) -> tuple[Viewer, Bot]:
    """Return the bot of that name or API id, and a user who has it: the one of `email`, or the oldest account.

    Raises:
        NotFound: nobody has such a bot.
    """
    known = split_id(name)
    name_or_id = str(known[1]) if known is not None and known[0] == "Bot" else name
    for viewer in await runtime.services.accounts.local_viewers(email):
        bot = await runtime.services.bots.find(viewer, name_or_id)
        if bot is not None:
            return viewer, bot
    raise NotFound(f"bot as {name!r}")
