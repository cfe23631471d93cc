"""A trace is JSON and comes back from it, also from what other versions have written."""

import json
from uuid import UUID

from hypothesis import assume, given
from hypothesis import strategies as st

from kyrochat.retrieval.search_settings import UsedSettings
from kyrochat.retrieval.trace import MAX_CANDIDATES, Candidate, Fate, SearchTrace, bounded

SETTINGS = UsedSettings(top_k=8)


def candidate(rank: int, fate: Fate) -> Candidate:
    return Candidate(UUID(int=rank), UUID(int=0), 1, 0, 10, rank, 1 / rank, 1 / rank, fate)


@given(st.builds(SearchTrace))
def test_a_trace_comes_back_from_its_json(trace: SearchTrace) -> None:
    written = json.dumps(trace.to_json())
    assume("NaN" not in written and "Infinity" not in written)  # no score is, and PostgreSQL would not take it

    assert SearchTrace.from_json(json.loads(written)) == trace


def test_what_another_version_has_written_is_read() -> None:
    written = {"query": "Q?", "settings": {"top_k": 3, "of_tomorrow": 1}, "legs": [], "of_tomorrow": {"a": 1}}

    assert SearchTrace.from_json(written) == SearchTrace("Q?", UsedSettings(top_k=3))


def test_a_trace_keeps_what_was_used_and_then_the_best() -> None:
    late = [candidate(rank, Fate.KEPT if rank in (70, 90) else Fate.BEYOND_TOP_K) for rank in range(1, 101)]

    kept = bounded(late)

    assert [each.rank for each in kept] == [*range(1, MAX_CANDIDATES - 1), 70, 90]


def test_the_largest_trace_is_small() -> None:
    trace = SearchTrace(
        "q" * 4_000, SETTINGS, candidates=bounded([candidate(rank, Fate.BEYOND_TOP_K) for rank in range(1, 200)])
    )

    assert len(json.dumps(trace.to_json())) < 30_000
