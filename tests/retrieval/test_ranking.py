from math import log2

import pytest

from kyrochat.retrieval.metrics import mean, ndcg, recall, reciprocal_rank
from kyrochat.retrieval.proximity import proximity_bonus


def idf(term: str) -> float:
    return {"steam": 3.0, "button": 2.0}.get(term, 1.0)


def test_words_that_stand_together_are_worth_more_than_words_apart() -> None:
    question = ["steam", "button"]

    adjacent = proximity_bonus(question, ["press", "steam", "button"], idf)
    near = proximity_bonus(question, ["button", "for", "steam"], idf)
    far = proximity_bonus(question, ["steam", *["x"] * 20, "button"], idf)

    assert adjacent == pytest.approx(2.0 * 2.2 * (0.3 / 2.2 + 0.1 / 2.2))
    assert near == pytest.approx(2.0 * 2.2 * 0.1 / 2.2)
    assert far == 0


@pytest.mark.parametrize(
    ("question", "chunk"), [([], ["a"]), (["a"], ["a"]), (["a", "b"], []), (["a", "a"], ["a", "a"])]
)
def test_nothing_to_pair_gives_no_bonus(question: list[str], chunk: list[str]) -> None:
    assert proximity_bonus(question, chunk, idf) == 0


def test_measures_follow_their_definitions() -> None:
    ranking, gains = ["x", "a", "y", "b"], {"a": 1.0, "b": 1.0, "c": 0.0}

    assert ndcg(ranking, gains) == pytest.approx((1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3)))
    assert recall(ranking, gains, 2) == 0.5
    assert reciprocal_rank(ranking, gains) == 0.5
    assert reciprocal_rank(ranking, gains, 1) == 0


def test_gains_weigh_as_they_are_graded_and_those_below_zero_as_none() -> None:
    gains = {"a": 3.0, "b": 1.0, "rubbish": -2.0}
    ideal = 3 + 1 / log2(3)

    assert ndcg(["a", "b"], gains) == pytest.approx(1)
    assert ndcg(["b", "a"], gains) == pytest.approx((1 + 3 / log2(3)) / ideal)
    assert ndcg(["rubbish", "a"], gains) == pytest.approx(3 / log2(3) / ideal)
    assert (recall(["rubbish"], gains), reciprocal_rank(["rubbish", "b"], gains)) == (0, 0.5)


def test_measures_of_nothing_are_zero() -> None:
    assert (ndcg([], {}), recall(["a"], {}), reciprocal_rank([], {"a": 1.0}), mean([])) == (0, 0, 0, 0)
