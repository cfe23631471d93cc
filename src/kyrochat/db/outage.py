"""Tells a database that is away, where trying again helps, from a mistake, where it never will."""

import logging
from dataclasses import dataclass

from sqlalchemy import exc

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 5.0

# SQLSTATE classes: connections, resources, operators (a restart, a timeout), lost races (a deadlock), and the
# time-outs of locks and idle transactions.
_AWAY = ("08", "53", "57", "40", "55P03", "25P03")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outage:
    """Logs the beginning and the end of a row of failures, and says how long to pause after each."""

    what: str
    pause_s: float = 0.0

    def goes_on(self, error: Exception) -> float:
        """Return the seconds to wait: more and more."""
        if not self.pause_s:
            log.warning("%s failed (%s); trying until it works", self.what, type(error).__name__)
        self.pause_s = min(LONGEST_PAUSE_S, 2 * self.pause_s) or FIRST_PAUSE_S
        return self.pause_s

    def is_over(self) -> None:
        """Note a success."""
        if self.pause_s:
            log.info("%s works again", self.what)
        self.pause_s = 0.0


def is_outage(error: BaseException) -> bool:
    """Say whether the error came from a database that cannot be reached, or is starting, stopping or full."""
    if isinstance(error, exc.DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        # Without a state it is asyncpg's own: the connection broke in the middle of an answer.
        is_cut = isinstance(error, exc.InternalError) and not state
        is_gone = error.connection_invalidated or isinstance(error, exc.InterfaceError)
        return is_cut or is_gone or state.startswith(_AWAY)
    # While connecting, asyncpg's own errors arrive unwrapped; a full pool is SQLAlchemy's TimeoutError.
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, OSError | TimeoutError | exc.TimeoutError) or state.startswith(_AWAY)
