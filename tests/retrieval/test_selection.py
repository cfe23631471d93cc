"""What is chosen of what was found, and what becomes of the rest."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.ranking import Ranked
from kyrochat.retrieval.search_settings import UsedSettings
from kyrochat.retrieval.selection import MAX_PASSAGE_CHARS, select
from kyrochat.retrieval.trace import Fate
from kyrochat.retrieval.types import Passage

RIVERS = ["The Rhine rises in the Alps.", "The Elbe passes Dresden.", "The Danube has a delta.", "Eels swim upstream."]


def found(
    number: int, score: float, text: str | None = None, *, document: int | None = None, ordinal: int = 0
) -> Ranked:
    """A chunk of a document of its own, unless told otherwise."""
    text = text if text is not None else f"Passage number{number} alone says this{number} of that{number}."
    document = number if document is None else document
    start = ordinal * 80
    return Ranked(
        Passage(
            UUID(int=number), UUID(int=document), "Title", 1, start, start + len(text), text, score, ordinal=ordinal
        ),
        fused=score,
    )


def fates(ranked: list[Ranked], top_k: int, min_score: float = 0.0) -> list[tuple[int, Fate, int | None]]:
    selection = select(ranked, UsedSettings(top_k=top_k, min_score=min_score))
    return [(each.chunk_id.int, each.fate, each.of.int if each.of else None) for each in selection.candidates]


def groups(ranked: list[Ranked], top_k: int) -> list[list[int]]:
    chosen = select(ranked, UsedSettings(top_k=top_k)).groups
    return [[each.passage.chunk_id.int for each in group.members] for group in chosen]


def test_the_best_that_are_good_enough_are_kept() -> None:
    ranked = [found(1, 0.9), found(2, 0.6), found(3, 0.5), found(4, 0.2)]

    assert fates(ranked, top_k=2) == [
        (1, Fate.KEPT, None),
        (2, Fate.KEPT, None),
        (3, Fate.BEYOND_TOP_K, None),
        (4, Fate.BEYOND_TOP_K, None),
    ]
    assert fates(ranked, top_k=3, min_score=0.6) == [
        (1, Fate.KEPT, None),
        (2, Fate.KEPT, None),
        (3, Fate.BELOW_MIN_SCORE, None),
        (4, Fate.BELOW_MIN_SCORE, None),
    ]


def test_what_says_the_same_counts_once() -> None:
    page = " ".join(a + b for a in "abcdefghij" for b in "klmnopqrst")
    ranked = [
        found(1, 0.9, f"{page} Thank you for reading."),
        found(2, 0.8, f"{page.upper()}\n\nThank you,  for reading!"),
        found(3, 0.7, f"{page} Thank you all for reading."),
        found(4, 0.6, f"{page} It costs 12 euros."),
        found(5, 0.5, f"{page} It costs 13 euros."),
        found(6, 0.4, "Something else."),
    ]

    assert fates(ranked, top_k=8) == [
        (1, Fate.KEPT, None),
        (2, Fate.DUPLICATE, 1),
        (3, Fate.DUPLICATE, 1),
        (4, Fate.KEPT, None),
        (5, Fate.KEPT, None),
        (6, Fate.KEPT, None),
    ]


@given(st.lists(st.lists(st.sampled_from("abcd12"), max_size=14), max_size=12))
def test_texts_repeat_another_when_they_share_nine_tenths_and_all_figures(pages: list[list[str]]) -> None:
    def parts(words: list[str]) -> set[tuple[str, ...]]:
        return {tuple(words[place : place + 4]) for place in range(max(len(words) - 3, 1))}

    def say_the_same(one: list[str], other: list[str]) -> bool:
        figures = [[word for word in words if word.isdigit()] for words in (one, other)]
        mine, its = parts(one), parts(other)
        return figures[0] == figures[1] and len(mine & its) >= 0.9 * len(mine | its)

    # Long enough that a word more or less is a tenth.
    pages = [[*"efghijklmnopqrstuvw", *words] for words in pages]
    kept: list[int] = []
    for number, words in enumerate(pages):
        if not any(say_the_same(words, pages[other]) for other in kept):
            kept.append(number)

    chosen = groups([found(number, 0.9, " ".join(words)) for number, words in enumerate(pages)], top_k=20)

    assert chosen == [[number] for number in kept]


def test_chinese_pages_that_differ_in_a_word_count_once_too() -> None:
    page = "莱茵河发源于阿尔卑斯山,流经瑞士、德国和荷兰,最后注入北海。沿岸有许多城堡和葡萄园,游客每年都来参观。" * 2
    ranked = [found(1, 0.9, page), found(2, 0.8, page + "谢谢"), found(3, 0.7, "易北河流经德累斯顿。")]

    assert fates(ranked, top_k=8) == [(1, Fate.KEPT, None), (2, Fate.DUPLICATE, 1), (3, Fate.KEPT, None)]


def test_neighbours_become_one_passage_and_leave_room_for_others() -> None:
    ranked = [
        found(1, 0.9, document=1, ordinal=4),
        found(2, 0.8),
        found(3, 0.7, document=1, ordinal=3),
        found(4, 0.6, document=1, ordinal=5),
        found(5, 0.5),
    ]

    assert groups(ranked, top_k=3) == [[3, 1, 4], [2], [5]]
    assert fates(ranked, top_k=3) == [
        (1, Fate.KEPT, None),
        (2, Fate.KEPT, None),
        (3, Fate.MERGED, 1),
        (4, Fate.MERGED, 1),
        (5, Fate.KEPT, None),
    ]


def test_a_chunk_between_two_others_joins_both() -> None:
    ranked = [found(n, 1 / n, document=1, ordinal=ordinal) for n, ordinal in ((1, 1), (2, 3), (3, 2))]

    assert groups(ranked, top_k=3) == [[1, 3, 2]]


def test_neighbours_that_are_long_stay_apart() -> None:
    half = "x" * (MAX_PASSAGE_CHARS // 2 + 50)
    first, second = found(1, 0.9, half, document=1), found(2, 0.8, f"y{half}", document=1, ordinal=20)
    first = replace(first, passage=replace(first.passage, ordinal=19))

    assert groups([first, second], top_k=2) == [[1], [2]]


def test_one_document_does_not_crowd_out_others_that_are_nearly_as_good() -> None:
    crowd = [found(number, 0.90 - number / 100, document=99, ordinal=3 * number) for number in range(1, 8)]
    ranked = sorted([*crowd, found(50, 0.65), found(51, 0.2)], key=lambda each: -each.passage.score)

    told = {chunk: fate for chunk, fate, _ in fates(ranked, top_k=6)}

    assert [told[number] for number in (1, 2, 3, 50)] == [Fate.KEPT] * 4
    # There is room for two more: rather more of the same than what is far off.
    assert (told[4], told[5], told[6], told[51]) == (
        Fate.KEPT,
        Fate.KEPT,
        Fate.OVER_DOCUMENT_LIMIT,
        Fate.BEYOND_TOP_K,
    )


def test_one_document_may_have_all_places_when_nobody_else_wants_them() -> None:
    ranked = [found(number, 1 / number, document=1, ordinal=3 * number) for number in range(1, 9)]

    assert len(groups(ranked, top_k=8)) == 8


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 6), st.floats(0, 1), st.sampled_from([None, *RIVERS])), max_size=25
    ),
    st.integers(1, 8),
    st.floats(0, 1),
)
def test_every_candidate_has_one_fate_and_passages_are_what_was_asked_for(
    chunks: list[tuple[int, int, float, str | None]], top_k: int, min_score: float
) -> None:
    places = {(document, ordinal): (score, text) for document, ordinal, score, text in chunks}
    ranked = [
        found(number, score, text, document=document, ordinal=ordinal)
        for number, ((document, ordinal), (score, text)) in enumerate(
            sorted(places.items(), key=lambda item: -item[1][0]), start=1
        )
    ]

    selection = select(ranked, UsedSettings(top_k=top_k, min_score=min_score))

    assert [each.chunk_id for each in selection.candidates] == [each.passage.chunk_id for each in ranked]
    chosen = [member.passage for group in selection.groups for member in group.members]
    used = {each.chunk_id for each in selection.candidates if each.fate in (Fate.KEPT, Fate.MERGED)}
    assert len(selection.groups) <= top_k
    assert sorted(passage.chunk_id for passage in chosen) == sorted(used)
    assert all(passage.score >= min_score for passage in chosen)
    best = [group.best.passage.score for group in selection.groups]
    assert best == sorted(best, reverse=True)
    for group in selection.groups:
        ordinals = [member.passage.ordinal for member in group.members]
        assert ordinals == list(range(ordinals[0], ordinals[0] + len(ordinals)))
        assert len({member.passage.document_id for member in group.members}) == 1
    if len(selection.groups) < top_k:
        rest = {each.fate for each in selection.candidates} - {Fate.KEPT, Fate.MERGED}
        assert rest <= {Fate.DUPLICATE, Fate.BELOW_MIN_SCORE}
