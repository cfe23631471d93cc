"""Which passages are what a question was to find, and what figures come of that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.evaluation.needs import ranking
from kyrochat.evaluation.scoring import ABSTAINED, DEGRADED, EMPTY, MEASURES, NDCG, UNANSWERABLE, score, summary
from kyrochat.evaluation.types import Answered, Found, Hit, Question

QUOTE = "The harbour office is open from nine to fifteen hours in winter, on weekdays only."


def hit(document: str, text: str = "", title: str = "", url: str = "") -> Hit:
    return Hit(document, title or f"Title {document}", text, 0.5, frozenset({url} if url else ()))


def answered(*hits: Hit, milliseconds: float = 1.0, degraded: bool = False) -> Answered:
    return Answered(hits, milliseconds, degraded)


def test_a_document_takes_one_place_however_many_passages_it_has() -> None:
    question = Question("1", "?", documents=("title B",))

    places = ranking(question, [hit("a", "x"), hit("a", "y"), hit("b", "x"), hit("b", "y")])

    assert places == (Found("a", "Title a", 0.5), Found("b", "Title b", 0.5, ("title B",)))


@pytest.mark.parametrize("name", ["b", "Title b", " TITLE  B ", "https://example.com/b"])
def test_a_document_is_known_by_its_id_its_title_and_its_address(name: str) -> None:
    question = Question("1", "?", documents=(name,))

    scored = score(question, answered(hit("a"), hit("b", url="https://example.com/b")))

    assert scored.measures["mrr"] == 0.5
    assert scored.missed == ()


def test_a_quote_is_found_in_whatever_white_space_and_case() -> None:
    question = Question("1", "?", quotes=("Open from NINE\nto fifteen",))

    places = ranking(question, [hit("a", "nothing"), hit("a", QUOTE)])

    assert [found.met for found in places] == [(), ("Open from NINE\nto fifteen",)]


def test_an_accent_is_the_same_whether_it_stands_alone_or_not() -> None:
    places = ranking(Question("1", "?", documents=("Cafe\u0301",)), [hit("a", title="CAF\u00c9")])
    quoted = ranking(Question("1", "?", quotes=("cre\u0300me",)), [hit("a", "Cr\u00e8me")])

    assert [found.met for found in (*places, *quoted)] == [("Cafe\u0301",), ("cre\u0300me",)]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        (f"Before it. {QUOTE[:50]}", True),
        (f"{QUOTE[40:]} And after it.", True),
        (f"Before it. {QUOTE[:20]}", False),
        (f"Before it. {QUOTE[:50]} but not at the end", False),
        ("", False),
    ],
)
def test_half_a_quote_at_the_edge_of_a_passage_will_do(text: str, holds: bool) -> None:
    [found] = ranking(Question("1", "?", quotes=(QUOTE,)), [hit("a", text)])

    assert bool(found.met) is holds


def test_a_quote_of_another_document_does_not_count_when_one_is_named() -> None:
    question = Question("1", "?", documents=("Title b",), quotes=("open from nine",))

    places = ranking(question, [hit("a", QUOTE), hit("b", QUOTE)])

    assert [bool(found.met) for found in places] == [False, True]


def test_a_need_counts_once_at_its_first_place() -> None:
    question = Question("1", "?", quotes=("nine", "winter"))

    scored = score(question, answered(hit("a", "nine"), hit("b", "nine"), hit("c", "winter")))

    assert [found.met for found in scored.ranking] == [("nine",), (), ("winter",)]
    # Ideal are the places 1 and 2: 1.6309. Found are 1 and 3.
    assert scored.measures[NDCG] == pytest.approx(1.5 / 1.6309, abs=1e-4)


def test_one_passage_may_meet_all_needs() -> None:
    scored = score(Question("1", "?", quotes=("nine", "winter")), answered(hit("a", QUOTE)))

    assert scored.measures == dict.fromkeys(MEASURES, 1.0)


def test_what_nothing_meets_is_named() -> None:
    scored = score(Question("1", "?", documents=("b", "c")), answered(hit("b")))

    assert (scored.missed, scored.measures["recall@10"]) == (("c",), 0.5)


def test_a_summary_counts_each_share_over_its_own_questions() -> None:
    results = [
        score(Question("1", "?", documents=("a",)), answered(hit("a"), milliseconds=10)),
        score(Question("2", "?", documents=("a",)), answered(milliseconds=20)),
        score(Question("3", "?"), answered(milliseconds=30)),
        score(Question("4", "?"), answered(hit("a"), milliseconds=400, degraded=True)),
    ]

    figures = summary(results)

    assert {name: figures[name] for name in MEASURES} == dict.fromkeys(MEASURES, 0.5)
    assert (figures[EMPTY], figures[UNANSWERABLE], figures[ABSTAINED], figures[DEGRADED]) == (0.5, 0.5, 0.5, 0.25)
    assert (figures["latency_p50_ms"], figures["latency_p95_ms"]) == (20, 400)
    assert summary([]) == {}
    assert ABSTAINED not in summary(results[:2])
    assert NDCG not in summary(results[2:])


@given(
    st.lists(st.sampled_from("abcdef"), max_size=12),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True),
)
def test_measures_stay_between_0_and_1_and_are_1_only_at_the_top(found: list[str], wanted: list[str]) -> None:
    scored = score(Question("1", "?", documents=tuple(wanted)), answered(*(hit(each, title="-") for each in found)))

    assert all(0 <= value <= 1 for value in scored.measures.values())
    first = list(dict.fromkeys(found))[: len(wanted)]
    assert (scored.measures[NDCG] > 1 - 1e-9) is (set(first) == set(wanted))
    assert len(scored.ranking) == len(set(found))
    assert set(scored.missed) == set(wanted) - set(found)
