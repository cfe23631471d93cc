"""How we behave at other people's sites: robots.txt is heard, and a host gets one request at a time, with pauses."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from kyrochat.documents.web.robots import Robots
from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Fetched, Fetcher, Unchanged, Validators

# RFC 9309 wants it to be read anew after a day at the latest; people who change it expect less.
ROBOTS_AGE_S = 3600.0
# After a failure, so that a site that is down is not asked twice for each of its pages.
FAILURE_AGE_S = 60.0
MAX_PLACES = 1000
ROBOTS_PATH = "/robots.txt"


class Refused(FetchFailed):
    """The site asks us not to read the page."""

    def __init__(self) -> None:
        super().__init__(
            "The site's robots.txt asks programs not to read this page. Ask its owner, or upload the page yourself."
        )


@dataclass(slots=True)
class _Host:
    """Whose turn it is at a host, and from when on; all times here are the event loop's."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0


@dataclass(slots=True)
class _Origin:
    """What a site's robots.txt says, or why that is not known."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    robots: Robots | FetchFailed | None = None
    fresh_until: float = 0.0


Place = TypeVar("Place", _Host, _Origin)


@dataclass(slots=True)
class Visitor:
    """Fetches pages as a guest does. There is one for the process: it is the process that has manners."""

    fetcher: Fetcher
    pause_s: float = 0.25
    _hosts: OrderedDict[str, _Host] = field(default_factory=OrderedDict)
    _origins: OrderedDict[str, _Origin] = field(default_factory=OrderedDict)

    async def fetch(self, address: WebAddress, known: Validators | None = None) -> Fetched | Unchanged:
        """Return the page, as `Fetcher.fetch` does, if robots.txt permits it, and each one that it leads on to.

        Raises:
            FetchFailed: it does not, or the page cannot be had.
        """
        return await self.fetcher.fetch(address, known, gate=self._permitted_turn)

    async def robots(self, address: WebAddress) -> Robots:
        """Return the rules of the page's site.

        Raises:
            FetchFailed: they cannot be read at the moment, so nothing else may be.
        """
        origin, clock = _visited(self._origins, address.origin, _Origin), asyncio.get_running_loop().time
        async with origin.turn:
            if origin.robots is None or clock() >= origin.fresh_until:
                origin.robots = await self._read_robots(address)
                fresh_s = FAILURE_AGE_S if isinstance(origin.robots, FetchFailed) else ROBOTS_AGE_S
                origin.fresh_until = clock() + fresh_s
            found = origin.robots
        if isinstance(found, FetchFailed):
            raise FetchFailed(found.message, retryable=True, retry_after_s=found.retry_after_s)
        return found

    async def _read_robots(self, address: WebAddress) -> Robots | FetchFailed:
        try:
            found = await self.fetcher.fetch(address.at(ROBOTS_PATH), gate=self._turn)
        except FetchFailed as error:
            # No such file, or none for us: there are no rules. A site that cannot say is not entered.
            return error if error.retryable else Robots.silent()
        if isinstance(found, Unchanged):  # to a question that was not asked
            return Robots.silent()
        return await asyncio.to_thread(Robots.parse, found.body)

    @asynccontextmanager
    async def _permitted_turn(self, address: WebAddress) -> AsyncGenerator[None, None]:
        robots = await self.robots(address)
        if not robots.allows(address):
            raise Refused
        async with self._turn(address, robots.delay_s):
            yield

    @asynccontextmanager
    async def _turn(self, address: WebAddress, delay_s: float = 0.0) -> AsyncGenerator[None, None]:
        host, clock = _visited(self._hosts, address.host, _Host), asyncio.get_running_loop().time
        async with host.turn:
            await asyncio.sleep(max(0.0, host.free_at - clock()))
            try:
                yield
            finally:
                host.free_at = clock() + max(delay_s, self.pause_s)


def _visited(places: OrderedDict[str, Place], name: str, new: Callable[[], Place]) -> Place:
    """Return the place of that name, and forget the one that nobody has been at for the longest time."""
    place = places.setdefault(name, new())
    places.move_to_end(name)
    if len(places) > MAX_PLACES and not next(iter(places.values())).turn.locked():
        places.popitem(last=False)
    return place
