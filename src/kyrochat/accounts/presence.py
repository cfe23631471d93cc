"""Who is connected now, and whether he still may be: one look at the database for all of a process' connections."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from kyrochat.accounts import key_repository, repository
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import ACCESS_TOPIC, Changes
from kyrochat.db.engine import Database
from kyrochat.db.outage import Outage

# A bell says at once that somebody was shut out; this finds what no bell told of, a lost one or an expiry.
CHECK_EVERY_S = 2.0

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Presence:
    viewer: Viewer
    # What he could reach at the last look: more than at the first, when he was let into a workspace since.
    reach: frozenset[UUID]
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class Presences:
    """The connections of this process that outlast an operation: sockets and event streams."""

    database: Database
    changes: Changes
    _all: set[_Presence] = field(default_factory=set)

    @contextmanager
    def of(self, viewer: Viewer) -> Iterator[asyncio.Event]:
        """Give an event that is set when the viewer's session, key or account ends, or he loses a workspace."""
        presence = _Presence(viewer, frozenset(viewer.workspaces))
        self._all.add(presence)
        try:
            yield presence.ended
        finally:
            self._all.discard(presence)

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Watch over them meanwhile."""
        task = asyncio.create_task(self._watch(), name="presences")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def check(self) -> None:
        """Set the events of those who may not stay."""
        present = [presence for presence in self._all if not presence.ended.is_set()]
        if not present:
            return
        sessions = {one.viewer.session_id for one in present if one.viewer.session_id is not None}
        keys = {one.viewer.key_id: one.viewer.default_workspace_id for one in present if one.viewer.key_id is not None}
        async with self.database.begin(keys.values()) as session:
            valid = await repository.still_valid(session, list(sessions)) if sessions else {}
            valid |= await key_repository.still_live(session, list(keys)) if keys else {}
        for presence in present:
            credential = presence.viewer.key_id or presence.viewer.session_id
            if credential is None:
                continue
            reach = valid.get(credential, _NOTHING)
            if not presence.reach <= reach:
                presence.ended.set()
            presence.reach = reach

    async def _watch(self) -> None:
        outage = Outage("Looking who may stay connected")
        with self.changes.watch(ACCESS_TOPIC) as bell:
            while True:
                try:
                    await self.check()
                except Exception as error:  # nobody is cut off for an outage of ours
                    await asyncio.sleep(outage.goes_on(error))
                else:
                    outage.is_over()
                    await bell.wait(CHECK_EVERY_S)


_NOTHING: frozenset[UUID] = frozenset()
