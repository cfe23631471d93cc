"""What the credentials of a connection are good for, and when that ends."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from starlette.requests import HTTPConnection

# How long before the end a client hears of it; half of its life, when that is less.
WARN_AHEAD_S = 60.0

Params = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Grant:
    """The leave to stay connected that credentials give.

    `holder` says whose they are (None: nobody's), `expires_in_s` how long they last (None: for ever), and `ended` is
    set when they are taken away before: the session has ended, the key was revoked, the account disabled. `let_go` is
    called once nobody waits for that any more.
    """

    holder: str | None = None
    expires_in_s: float | None = None
    ended: asyncio.Event | None = None
    let_go: Callable[[], None] | None = None

    def release(self) -> None:
        """Let go of it."""
        if self.let_go is not None:
            self.let_go()


# Looks at the credentials of a socket's connection_init, or of a request for an event stream (without params).
# None is the same as Grant(). A KyroError refuses the socket.
OnConnect = Callable[[HTTPConnection, Params], Awaitable[Grant | None]]
# Takes new credentials for the socket that an operation came by.
Renew = Callable[[Params], Awaitable[Grant]]


class GrantEnd(NamedTuple):
    """How a grant ended: as the code that closes a socket, and in words."""

    code: int
    reason: str


EXPIRED = GrantEnd(4401, "The access token has expired")
ENDED = GrantEnd(4403, "The session has ended")


def follow(grant: Grant, warn: Callable[[float], Awaitable[None]] | None = None) -> asyncio.Task[GrantEnd]:
    """Begin to wait for the grant's end; when the wait is over or cancelled, the grant is let go."""
    following = asyncio.create_task(until_over(grant, warn))
    following.add_done_callback(lambda _: grant.release())
    return following


async def until_over(grant: Grant, warn: Callable[[float], Awaitable[None]] | None = None) -> GrantEnd:
    """Wait until the grant is over, and return how it ended; `warn` hears in time how many seconds are left."""
    ended = grant.ended or asyncio.Event()
    if grant.expires_in_s is None:
        await ended.wait()
        return ENDED
    ahead_s = min(WARN_AHEAD_S, grant.expires_in_s / 2)
    expires_at = asyncio.get_running_loop().time() + grant.expires_in_s
    try:
        # A client that does not read may hold up the warning, but not the end.
        async with asyncio.timeout_at(expires_at):
            try:
                async with asyncio.timeout_at(expires_at - ahead_s):
                    await ended.wait()
            except TimeoutError:
                if warn is not None:
                    await warn(ahead_s)
                await ended.wait()
    except TimeoutError:
        return EXPIRED
    return ENDED


def renewed(old: Params, new: Params) -> Params:
    """Return the params with the new ones in place of those of the same name, in any case."""
    replaced = {name.lower() for name in new}
    return {**{name: value for name, value in old.items() if name.lower() not in replaced}, **new}
