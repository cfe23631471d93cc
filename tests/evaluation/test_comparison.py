"""Two runs side by side, limits for pipelines, and runs as files."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from kyrochat.errors import InvalidInput
from kyrochat.evaluation.comparison import compare
from kyrochat.evaluation.gates import read_gates
from kyrochat.evaluation.plot import draw
from kyrochat.evaluation.run_files import read_run, write_run
from kyrochat.evaluation.scoring import NDCG, score, summary
from kyrochat.evaluation.significance import EXACT_PAIRS, p_value
from kyrochat.evaluation.types import Answered, Hit, Question, Run, Scored
from tests.timing import at_most


def asked(key: str, place: int | None, milliseconds: float = 1.0) -> Scored:
    """A question whose document is at that place, from 1, or nowhere."""
    before = (place or 3) - 1
    hits = [Hit(f"wrong {number}", "Wrong", "", 0.5) for number in range(before)]
    hits += [Hit("right", "Right", "", 0.5)] if place else []
    return score(Question(key, f"Question {key}?", documents=("right",)), Answered(tuple(hits), milliseconds))


def run(*places: int | None, name: str = "run") -> Run:
    results = tuple(asked(str(number), place) for number, place in enumerate(places))
    return Run(name, {"top_k": 5}, results, "2026-11-26T00:00:00+00:00", ("A note.",))


def test_a_comparison_tells_what_changed_and_for_which_questions() -> None:
    before, after = run(1, 1, 3, None), run(1, 2, 1, None)

    comparison = compare(before.results, after.results)

    changes = {change.name: change for change in comparison.figures}
    assert changes["hit@1"].before == changes["hit@1"].after == 0.5
    assert changes["mrr"].difference == pytest.approx((-0.5 + 2 / 3) / 4)
    assert [each.after.question.key for each in comparison.changed] == ["1", "2"]
    assert comparison.changed[0].differences[NDCG] == pytest.approx(0.6309 - 1, abs=1e-4)
    assert comparison.unmatched == 0
    # With two changes, one up and one down, every pattern of signs is as far from 0, or nearly.
    assert changes[NDCG].p_value == 1.0
    assert changes["latency_p50_ms"].p_value is None


def test_only_questions_that_both_have_are_compared() -> None:
    before, after = run(1, 1, 1), run(1, 1)
    reworded = replace(after.results[1], question=replace(after.results[1].question, text="Something else?"))

    comparison = compare(before.results, (after.results[0], reworded))

    assert (len(comparison.questions), comparison.unmatched) == (1, 3)
    assert compare((), ()).figures == ()


def test_many_questions_that_got_better_are_hardly_chance_and_one_may_be() -> None:
    many = compare(run(*[2] * 30).results, run(*[1] * 30).results)
    one = compare(run(*[2] * 30).results, run(1, *[2] * 29).results)

    assert {change.name: change.is_significant for change in many.figures}[NDCG]
    assert not {change.name: change.is_significant for change in one.figures}[NDCG]


def test_the_exact_test_counts_all_patterns_of_signs() -> None:
    assert p_value([0.1] * 5) == pytest.approx(2 / 32)
    assert p_value([0.5, -0.1]) == 1.0
    assert p_value([0.0, 0.0]) == p_value([]) == 1.0
    assert p_value([0.5, 0.1, 0.0]) == p_value([-0.5, -0.1]) == pytest.approx(0.5)


def test_the_sampled_test_agrees_with_the_exact_one_and_repeats_itself() -> None:
    toss = random.Random(7)
    differences = [toss.gauss(0.04, 0.1) for _ in range(EXACT_PAIRS)]
    # Differences too small to matter push it over to sampling.
    padded = [*differences, 1e-9]

    assert p_value(padded) == p_value(padded)
    assert p_value(padded) == pytest.approx(p_value(differences), abs=0.02)
    assert 0 < p_value([0.1] * 60) < 0.001


def test_the_sampled_test_takes_no_time_to_speak_of_however_many_questions_there_are() -> None:
    toss = random.Random(13)
    differences = [toss.gauss(0.01, 0.3) for _ in range(2_000)]

    with at_most(0.8):
        assert 0 < p_value(differences) <= 1


def test_the_sampled_test_calls_chance_chance() -> None:
    toss = random.Random(11)
    called = [p_value([toss.choice((-0.1, 0.1)) for _ in range(20)]) < 0.05 for _ in range(60)]

    assert sum(called) <= 9


def test_limits_are_kept_or_named() -> None:
    gates = read_gates(["nDCG@10=0.9", "mrr=0.5", "abstained=1"], ["latency_p95_ms=0.5"], ["0.1", "mrr=0.4"])
    before, after = run(1, 1, 1), run(1, 2, 2)

    failures = gates.failures(summary(after.results), compare(before.results, after.results))

    assert failures == [
        "abstained could not be measured: no question has it.",
        "ndcg@10 is 0.754, below 0.9.",
        "latency_p95_ms is 1.000, above 0.5.",
        "ndcg@10 went from 1.000 to 0.754, worse by more than 0.1.",
    ]
    assert read_gates([], [], []).failures({}, None) == []


def test_what_is_shown_decides() -> None:
    gates = read_gates(["ndcg@10=0.7"], [], [])

    assert gates.failures({NDCG: 0.6996}, None) == []
    assert gates.failures({NDCG: 0.6994}, None) == ["ndcg@10 is 0.699, below 0.7."]


@pytest.mark.parametrize(
    ("least", "most", "drops", "message"),
    [
        (["recall=0.5"], [], [], "There is no figure 'recall'"),
        (["mrr"], [], [], "lacks a number"),
        (["mrr=nan"], [], [], "lacks a number"),
        (["latency_p95_ms=3"], [], [], "less is better"),
        ([], [], ["much"], "lacks a number"),
    ],
)
def test_a_limit_that_is_none_is_refused(least: list[str], most: list[str], drops: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_gates(least, most, drops)


def test_a_run_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    made = run(1, 2, None)

    write_run(tmp_path / "run.json", made)

    assert read_run(tmp_path / "run.json") == made


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"kyrochat_evaluation": 2}', '{"kyrochat_evaluation": 1, "run": 3}']
)
def test_what_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)

    with pytest.raises(InvalidInput, match=r"run\.json"):
        read_run(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_run(tmp_path / "nothing.json")


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_pictures_show_a_run_alone_and_two_side_by_side(tmp_path: Path, suffix: str) -> None:
    before, after = run(1, 2, None, name="before <it>"), run(1, 1, 3, name="$_$ after")
    alone, both = tmp_path / f"alone.{suffix}", tmp_path / f"both.{suffix}"

    draw(alone, after)
    draw(both, after, before, compare(before.results, after.results))

    assert min(alone.stat().st_size, both.stat().st_size) > 3000
    if suffix == "svg":
        assert "before &lt;it&gt;" in both.read_text("utf-8")
        assert "3 questions: 2 better, 0 worse, 1 as before" in both.read_text("utf-8")
    with pytest.raises(InvalidInput, match="ends in"):
        draw(tmp_path / "picture.pdf", after)
    with pytest.raises(InvalidInput, match="cannot be written"):
        draw(tmp_path / "nowhere" / f"picture.{suffix}", after)
