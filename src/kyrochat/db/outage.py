"""Tells a database that is away, where trying again helps, from a mistake, where it never will."""

from sqlalchemy import exc

# SQLSTATE classes: connection exceptions, insufficient resources, operator intervention (a restart).
_AWAY = ("08", "53", "57P")


def is_outage(error: BaseException) -> bool:
    """Say whether the error came from a database that cannot be reached, or is starting, stopping or full."""
    if isinstance(error, exc.DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or isinstance(error, exc.InterfaceError) or state.startswith(_AWAY)
    # While connecting, asyncpg's own errors arrive unwrapped; a full pool is SQLAlchemy's TimeoutError.
    state = getattr(error, "sqlstate", None) or ""
    return isinstance(error, OSError | TimeoutError | exc.TimeoutError) or state.startswith(_AWAY)
