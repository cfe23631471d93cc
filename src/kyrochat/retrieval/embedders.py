"""The embedders that this process can use: the one for new vectors, and those of vectors made before."""

from collections.abc import Callable
from dataclasses import dataclass

from kyrochat.retrieval.ports import Embedder


def none_other(scheme: str) -> Embedder | None:
    """Return no embedder, for any scheme."""
    del scheme
    return None


@dataclass(frozen=True, slots=True)
class Embedders:
    """`current` makes new vectors; `other` returns the embedder of another scheme, if there is a way to it."""

    current: Embedder
    other: Callable[[str], Embedder | None] = none_other

    def of(self, scheme: str) -> Embedder | None:
        """Return the embedder whose vectors can be compared with those of the scheme."""
        return self.current if self.current.scheme == scheme else self.other(scheme)
