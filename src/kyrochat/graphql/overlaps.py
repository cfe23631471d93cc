"""How much validation has to compare: which fields and fragments of a document end at the same place of the answer.

graphql-core's rule OverlappingFieldsCanBeMerged compares every two of them, so that 3.5 KB of `me { id } me { id } ...`
cost it 1.6 s. Here they are only counted: the selection sets at one path of the answer form a group, and a group is
looked at once, however many paths lead to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

# Groups are sets of selection sets, of which nested fragments can make exponentially many: here the counting ends.
MAX_VISITS = 10_000
TOO_MANY = 1_000_000
# Measured: two fields with selection sets take validation about four times as long as two without.
COMPARISONS_OF_OBJECTS = 4


def response_name(node: FieldNode) -> str:
    """Return the key that the field has in the answer."""
    return node.alias.value if node.alias else node.name.value


def root_names(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> set[str]:
    """Return the response names at the root of an operation, of its fragments too: each is a resolver to run."""
    names: set[str] = set()
    spread: set[str] = set()
    remaining = [operation.selection_set]
    while remaining:
        for node in remaining.pop().selections:
            if isinstance(node, FieldNode):
                names.add(response_name(node))
            elif isinstance(node, InlineFragmentNode):
                remaining.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in fragments and name not in spread:
                    spread.add(name)
                    remaining.append(fragments[name].selection_set)
    return names


def count_comparisons(
    operations: Sequence[OperationDefinitionNode], fragments: Sequence[FragmentDefinitionNode]
) -> int:
    """Return about how often validation compares two fields or fragments; TOO_MANY after `MAX_VISITS` steps."""
    by_name = {node.name.value: node for node in fragments}
    compared = visits = 0
    seen: set[frozenset[int]] = set()
    reached: set[str] = set()
    # Taken from the end: fragments come last, and those that operations reach are not looked at on their own again.
    roots: list[OperationDefinitionNode | FragmentDefinitionNode] = [*fragments[::-1], *operations]
    while roots:
        root = roots.pop()
        if isinstance(root, FragmentDefinitionNode) and root.name.value in reached and by_name[root.name.value] is root:
            continue
        remaining = [[root.selection_set]]
        while remaining:
            sets = remaining.pop()
            key = frozenset(map(id, sets))
            if key in seen:
                continue
            seen.add(key)
            group = _Group(by_name)
            group.add(sets)
            reached |= group.spread
            visits += group.visits
            if visits > MAX_VISITS:
                return TOO_MANY
            compared += _pairs(group.spreads) + group.spreads * len(sets)
            for same in group.fields.values():
                inner = [node.selection_set for node in same if node.selection_set is not None]
                compared += _pairs(len(same)) + (COMPARISONS_OF_OBJECTS - 1) * _pairs(len(inner))
                if inner:
                    remaining.append(inner)
    return compared


@dataclass(slots=True)
class _Group:
    """The fields at one path by response name, those of fragments included; each fragment is read once."""

    fragments: Mapping[str, FragmentDefinitionNode]
    fields: dict[str, list[FieldNode]] = field(default_factory=dict)
    spread: set[str] = field(default_factory=set)
    spreads: int = 0
    visits: int = 0

    def add(self, selection_sets: Sequence[SelectionSetNode]) -> None:
        remaining = list(selection_sets)
        while remaining:
            # Validation, too, drops a spread that the same selection set repeats.
            here: set[str] = set()
            selections = remaining.pop().selections
            self.visits += len(selections)
            for node in selections:
                if isinstance(node, FieldNode):
                    self.fields.setdefault(response_name(node), []).append(node)
                elif isinstance(node, InlineFragmentNode):
                    remaining.append(node.selection_set)
                elif isinstance(node, FragmentSpreadNode):
                    here.add(node.name.value)
            self.spreads += len(here)
            for name in here - self.spread:
                self.spread.add(name)
                if name in self.fragments:
                    remaining.append(self.fragments[name].selection_set)


def _pairs(count: int) -> int:
    return count * (count - 1) // 2
