"""What the cost of an operation is told in."""

from dataclasses import dataclass

from graphql import OperationType

from kyrochat.graphql.list_sizes import SATURATED

ROOT_FIELD_POINTS = {OperationType.QUERY: 0, OperationType.MUTATION: 10, OperationType.SUBSCRIPTION: 5}


@dataclass(frozen=True, slots=True)
class Cost:
    """The measures of one operation, and of the document that it came in; `SATURATED` means that or more.

    Of the operation: `points`, `root_fields` (response names at its root). Of the whole document, since all of it is
    validated: the others. `depth` counts fields in each other, without those of introspection. `comparisons` estimates
    how often validation compares two fields or fragments. `list_items` is the longest list, of variables too.
    `input_values` are the values of input objects in the document, where long texts count as more. `unknown_names` are
    fields, arguments, fragments and (three times) types that do not exist, and `name_chars` is the longest name: errors
    repeat names, and suggest others. `nodes` is how many selections and values there are; each was visited once.
    `texts` are leaves that take arguments, such as the excerpt of a document.
    """

    kind: OperationType | None
    points: int
    root_fields: int
    depth: int
    aliases: int
    directives: int
    fragments: int
    operations: int
    comparisons: int
    list_items: int
    input_values: int
    unknown_names: int
    name_chars: int
    nodes: int
    texts: int

    @property
    def weight(self) -> int:
        """About how large the result is, in objects; a text of any length counts as many."""
        started = 0 if self.kind is None else self.root_fields * ROOT_FIELD_POINTS[self.kind]
        return max(self.points - started, SATURATED if self.texts else 0)
