"""What the GraphQL guard costs, and what it spares: `python -m benchmarks.guard`.

The figure that travels between machines is the ratio to graphql-core's parse of the same document in the same run.
Of hostile documents that pass, validation is the figure to watch: it holds up everybody on the event loop.
"""

import time
from collections.abc import Callable
from functools import partial

from graphql import get_introspection_query, parse, specified_rules
from strawberry.schema.schema import validate_document

from kyrochat.graphql.cost import measure
from kyrochat.graphql.limits import QueryLimits, find_breach
from kyrochat.graphql.schema import build_schema
from kyrochat.graphql.transport.document_cache import MAX_TOKENS

ROUNDS = 5
# Validated in spite of the guard, for comparison; the worst takes 1.6 s.
REFUSED_ROUNDS = 1
RULES = tuple(specified_rules)

_UNKNOWN_INPUTS = "createBot(input: {" + " ".join(f"nam{n}: 1" for n in range(37)) + "}) { __typename }"
_UNKNOWN_TYPES = "bot(id: 1) { " + " ".join(f"... on InvalidCredentialsProblem{n} {{ id }}" for n in range(3)) + " }"


def _chain(fragments: int) -> str:
    links = " ".join(f"fragment F{n} on User {{ id name ...F{n + 1} }}" for n in range(fragments - 1))
    return f"{links} fragment F{fragments - 1} on User {{ id }}"


def _fields(count: int) -> str:
    return "x { " + " ".join(f"a{n}" for n in range(count)) + " }"


DOCUMENTS = {
    "a bot by its id": "query ($id: ID!) { bot(id: $id) { id name } }",
    "a page of conversations": (
        "{ bots(first: 10) { nodes { id conversations(first: 5) { totalCount nodes { id title messages(last: 5) "
        "{ nodes { id text status citations { number quote document { title } } } } } } } } }"
    ),
    "GraphiQL's introspection": get_introspection_query(),
    "allowed: 790 fields": "{ " + _fields(785) + " }",
    "allowed: 34 times an object": "{ " + "me { id } " * 34 + "}",
    "allowed: 44 fragments": "{ me { ...F0 } } " + _chain(44),
    "allowed: 38 wrong inputs": f"mutation {{ {_UNKNOWN_INPUTS} }}",
    "allowed: all of that": (
        f"query {{ me {{ ...F0 }} {_UNKNOWN_TYPES} {_fields(540)} }} mutation {{ {_UNKNOWN_INPUTS} }} {_chain(43)}"
    ),
    "refused: 495 times an object": "{ " + "me { id } " * 495 + "}",
    "refused: 1,990 times a leaf": "{ me { " + "id " * 1_990 + "} }",
    "refused: 600 wrong inputs": (
        "mutation { createBot(input: {" + " ".join(f"nam{n}: 1" for n in range(600)) + "}) { __typename } }"
    ),
    "refused: 198 fragments": (
        "{ me { "
        + " ".join(f"...F{n}" for n in range(198))
        + " } } "
        + " ".join(f"fragment F{n} on User {{ id }}" for n in range(198))
    ),
    "refused: a name of 200 kB": (
        f"query {'Q' * 200_000} {{ " + " ".join(f"a{n}: bot(id: $b{n}) {{ id }}" for n in range(20)) + " }"
    ),
}


def main() -> None:
    schema = build_schema()._schema
    limits = QueryLimits()
    print(f"{'document':<30} {'bytes':>7} {'parse':>9} {'guard':>9} {'ratio':>6} {'validate':>10}  points, breach")
    for name, query in DOCUMENTS.items():
        document = parse(query, max_tokens=MAX_TOKENS)
        cost = measure(document, schema)
        breach = find_breach(cost, limits)
        parse_ms = best_ms(partial(parse, query, max_tokens=MAX_TOKENS))
        guard_ms = best_ms(partial(measure, document, schema))
        validate_ms = best_ms(partial(validate_document, schema, document, RULES), REFUSED_ROUNDS if breach else ROUNDS)
        print(
            f"{name:<30} {len(query):>7,} {parse_ms:>6.2f} ms {guard_ms:>6.2f} ms {guard_ms / parse_ms:>6.2f} "
            f"{validate_ms:>7.1f} ms  {cost.points:,}, {breach.limit if breach else 'none'}"
        )


def best_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the milliseconds of the fastest round: the others waited for something else."""
    times_s = []
    for _ in range(rounds):
        began_at = time.perf_counter()
        work()
        times_s.append(time.perf_counter() - began_at)
    return min(times_s) * 1000


if __name__ == "__main__":
    main()
