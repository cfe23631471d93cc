"""How many connections each holder of credentials, or each address without any, has open."""

from collections import Counter
from dataclasses import dataclass, field

from kyrochat.graphql.transport.grants import Grant


@dataclass(slots=True)
class Places:
    """The places of one view, for sockets or for event streams: `max_per_holder` for each."""

    max_per_holder: int
    taken: Counter[str] = field(default_factory=Counter)

    def take(self, who: str) -> bool:
        """Take a place, which has to be given back; False when all are taken."""
        if self.taken[who] >= self.max_per_holder:
            return False
        self.taken[who] += 1
        return True

    def give_back(self, who: str) -> None:
        """Give back a place that was taken."""
        self.taken[who] -= 1
        if not self.taken[who]:
            del self.taken[who]


def counted_as(grant: Grant, address: str) -> str:
    """Return by what name a connection is counted."""
    return f"address {address}" if grant.holder is None else f"holder {grant.holder}"
