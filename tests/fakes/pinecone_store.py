"""What a fake Pinecone holds: indexes of namespaces, whose searches see writes later than they were accepted."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.pinecone_filters import Refused, matches

Document = dict[str, Any]
Change = Callable[[dict[str, Document]], None]


@dataclass
class Visibility:
    """When searches see a write: at once, after `after_searches` of them, or (`held`) not before `settle`.

    A filtered deletion finds its documents when it is applied, or (`deletes_what_is_visible`) when it is accepted;
    the latter misses writes that are still on their way. `counts_matches` and `tells_positions` are what answers say.
    """

    after_searches: int = 0
    held: bool = False
    deletes_what_is_visible: bool = False
    counts_matches: bool = True
    tells_positions: bool = True


@dataclass
class Namespace:
    """`accepted` is what fetches see, `visible` what searches see."""

    accepted: dict[str, Document] = field(default_factory=dict)
    visible: dict[str, Document] = field(default_factory=dict)
    waiting: deque[tuple[Change, int]] = field(default_factory=deque)
    last_write: int = 0

    @property
    def last_visible_write(self) -> int:
        return self.last_write - len(self.waiting)

    def write(self, change: Change, visibility: Visibility) -> int:
        """Accept a change and return its number."""
        self.last_write += 1
        change(self.accepted)
        self.waiting.append((change, visibility.after_searches))
        self.advance(visibility)
        return self.last_write

    def advance(self, visibility: Visibility, *, searches: int = 0) -> None:
        """Apply, in their order, the changes whose time has come."""
        self.waiting = deque((change, left - searches) for change, left in self.waiting)
        while self.waiting and self.waiting[0][1] <= 0 and not visibility.held:
            self.waiting.popleft()[0](self.visible)

    def settle(self) -> None:
        while self.waiting:
            self.waiting.popleft()[0](self.visible)


@dataclass
class Index:
    """One index. `describes_until_ready` is how often it is still initializing when looked at."""

    name: str
    fields: dict[str, dict[str, Any]]
    deployment: dict[str, Any]
    host: str
    describes_until_ready: int = 0
    namespaces: dict[str, Namespace] = field(default_factory=dict)

    @property
    def data_fields(self) -> frozenset[str]:
        return frozenset(self.fields)

    def description(self) -> dict[str, Any]:
        ready = self.describes_until_ready <= 0
        return {
            "name": self.name,
            "schema": {"fields": self.fields},
            "deployment": self.deployment,
            "deletion_protection": "disabled",
            "host": self.host,
            "status": {"ready": ready, "state": "Ready" if ready else "Initializing"},
        }

    def checked(self, document: object) -> Document:
        """Return the document as it is stored: numbers become floats."""
        if not isinstance(document, dict) or not isinstance(document.get("_id"), str):
            raise Refused("each document has an _id.")
        stored: Document = {"_id": document["_id"]}
        for name, value in document.items():
            if name == "_id":
                continue
            if name.startswith(("_", "$")):
                raise Refused(f"{name} is a reserved name.")
            declared = self.fields.get(name)
            if declared is None:
                stored[name] = _metadata(name, value)
            elif declared["type"] == "dense_vector":
                stored[name] = vector(value, declared["dimension"])
            elif declared["type"] == "sparse_vector":
                stored[name] = _sparse(value)
        for name, declared in self.fields.items():
            if declared["type"] == "dense_vector" and name not in stored:
                raise Refused(f"{name} is required.")
        return stored

    def ranked(
        self, namespace: Namespace, field_name: str, query: Sequence[float], condition: object
    ) -> list[Document]:
        """Return copies of the documents that meet the condition, best dot product first."""
        declared = self.fields.get(field_name)
        if declared is None or declared["type"] != "dense_vector":
            raise Refused(f"{field_name} is no dense vector.")
        values = vector(query, declared["dimension"])
        if condition is not None:
            matches(condition, {}, self.data_fields)  # What is wrong with it is wrong without documents, too.
        found = [
            {**document, "_score": math.fsum(map(float.__mul__, values, document[field_name]))}
            for document in namespace.visible.values()
            if condition is None or matches(condition, document, self.data_fields)
        ]
        return sorted(found, key=lambda document: (-document["_score"], document["_id"]))


def vector(values: object, dimension: int) -> list[float]:
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise Refused("a dense vector is a list of numbers.")
    if len(values) != dimension:
        raise Refused(f"Vector dimension {len(values)} does not match the dimension of the index {dimension}.")
    if not any(values):
        raise Refused("Dense vectors must contain at least one non-zero value.")
    return [float(value) for value in values]


def _sparse(value: object) -> dict[str, list[float]]:
    if not isinstance(value, Mapping) or value.keys() != {"indices", "values"}:
        raise Refused("a sparse vector has indices and values.")
    indices, values = value["indices"], value["values"]
    if len(indices) != len(values) or len(set(indices)) != len(indices) or len(indices) > 2_048:
        raise Refused("a sparse vector has up to 2048 indices, each once, and as many values.")
    return {"indices": list(indices), "values": list(values)}


def _metadata(name: str, value: object) -> object:
    if isinstance(value, str | bool) or (isinstance(value, list) and all(isinstance(item, str) for item in value)):
        return value
    if isinstance(value, int | float):
        return float(value)
    raise Refused(f"{name} is not a string, a number, a boolean or a list of strings.")
