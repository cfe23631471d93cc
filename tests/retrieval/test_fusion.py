from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.fusion import fuse

A, B, C, D = (UUID(int=number) for number in range(1, 5))

scores = st.floats(allow_nan=False, allow_infinity=False)
rankings = st.lists(st.tuples(st.integers(0, 9).map(lambda number: UUID(int=number)), scores), max_size=12)
alphas = st.floats(0, 1)


def test_scores_are_stretched_and_weighed() -> None:
    dense = [(A, 10.0), (B, 8.0), (C, 2.0)]
    lexical = [(B, 12.0), (D, 7.0), (C, 2.0)]

    assert fuse(dense, lexical, alpha=0.25) == [(B, 0.25 * 0.75 + 0.75), (D, 0.75 * 0.5), (A, 0.25), (C, 0.0)]


def test_one_empty_side_leaves_the_other_as_it_is() -> None:
    ranking = [(A, 12.0), (B, 7.0)]

    assert fuse(ranking, []) == ranking
    assert fuse([], ranking) == ranking
    assert fuse([], []) == []


def test_equal_scores_are_all_best() -> None:
    assert fuse([(A, 0.3), (B, 0.3)], [(C, 5.0)], alpha=0.4) == [(C, 0.6), (A, 0.4), (B, 0.4)]


def test_ties_stay_in_the_order_they_came_in() -> None:
    assert [key for key, _ in fuse([(C, 1.0), (A, 1.0)], [(D, 2.0), (B, 2.0)], alpha=0.5)] == [C, A, D, B]


def test_an_id_that_comes_twice_counts_once_with_its_better_score() -> None:
    assert fuse([(A, 0.1), (B, 0.5), (A, 0.9), (A, 0.2)], []) == [(A, 0.9), (B, 0.5)]


def test_scores_that_are_no_numbers_are_left_out() -> None:
    assert fuse([(A, float("nan")), (B, 0.5), (C, float("inf"))], [(D, 2.0)], alpha=0.5) == [(B, 0.5), (D, 0.5)]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_its_range_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fuse([(A, 1.0)], [(B, 1.0)], alpha)


@given(rankings, rankings, alphas)
def test_all_ids_come_once_and_in_order(
    dense: list[tuple[UUID, float]], lexical: list[tuple[UUID, float]], alpha: float
) -> None:
    fused = fuse(dense, lexical, alpha)

    assert {key for key, _ in fused} == {key for key, _ in [*dense, *lexical]}
    assert len(fused) == len({key for key, _ in fused})
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)
    if dense and lexical:
        assert all(0 <= score <= 1 + 1e-9 for _, score in fused)


@given(rankings, rankings, alphas)
def test_being_better_on_both_sides_is_never_worse(
    dense: list[tuple[UUID, float]], lexical: list[tuple[UUID, float]], alpha: float
) -> None:
    near, worded = dict(dense), dict(lexical)
    both = near.keys() & worded.keys()
    fused = dict(fuse([*near.items()], [*worded.items()], alpha))

    for one in both:
        for other in both:
            if near[one] >= near[other] and worded[one] >= worded[other]:
                assert fused[one] >= fused[other]


@given(
    st.lists(st.tuples(st.sampled_from([A, B, C, D]), st.integers(-1000, 1000).map(float)), min_size=1),
    st.lists(st.tuples(st.sampled_from([A, B, C, D]), st.integers(-1000, 1000).map(float)), min_size=1),
)
def test_units_do_not_matter(dense: list[tuple[UUID, float]], lexical: list[tuple[UUID, float]]) -> None:
    scaled = [(key, score * 4 + 64) for key, score in dense]

    assert fuse(scaled, lexical) == fuse(dense, lexical)


@given(rankings.filter(bool), rankings.filter(bool))
def test_sides_can_be_swapped_with_their_weights(
    dense: list[tuple[UUID, float]], lexical: list[tuple[UUID, float]]
) -> None:
    assert dict(fuse(dense, lexical, 0.25)) == pytest.approx(dict(fuse(lexical, dense, 0.75)))
