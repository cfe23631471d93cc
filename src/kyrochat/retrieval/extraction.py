"""Chooses the sentences of passages that answer a question."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from kyrochat.retrieval.languages import guess_language
from kyrochat.retrieval.markdown import headings
from kyrochat.retrieval.questions import Question, understand
from kyrochat.retrieval.sentences import sentence_spans
from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import Passage, Turn

MIN_ANSWERABILITY = 0.45
"""Below this the passages do not speak of what is asked.

Measured on 1,190 English questions: 9 % of the answerable ones fall below, 92 % of those asked of other texts, and
82 % of those asked of the very article whose one answering paragraph was taken out.
"""

INFLECTED_ALLOWANCE = 0.07
"""Languages with more endings and compounds than English match fewer words of a question they do answer."""

COMPOUNDS_ALLOWANCE = 0.13
COMPOUNDING = frozenset({"german", "dutch", "swedish", "danish", "norwegian", "finnish"})

MAX_SENTENCES = 4
MAX_ANSWER_CHARS = 1_000
GOOD_ENOUGH = 0.75
"""A further sentence's score has to be at least this share of the best one's."""

ALIKE_SHARE = 0.7
"""For a word of the same beginning, as "invade" and "invasion"."""

NAMED_SHARE = 0.7
TOPIC_SHARE = 0.5
SECTION_WEIGHT = 0.7
MIN_SECTION_COVERAGE = 0.5
"""Of the question by the heading, so that the section's sentences count which hold none of its words."""

UNSPOKEN_SHARE = 0.6
"""Such sentences are welcome where a section is asked for, and rarely where a name, time or number is."""

CONTEXT_WEIGHT = 0.4
PAIR_WEIGHT = 0.2
EXPECTED_WEIGHT = 0.2
RANK_WEIGHT = 0.2
WHOLE_PASSAGE_WEIGHT = 0.15
MIN_NEW_TERMS = 1
"""A sentence that only repeats the question answers nothing but "is it so?"."""

_INFLECTED_SCRIPT = re.compile("[\u0370-\u0dff]")  # Greek, Cyrillic, Arabic, the scripts of India
_POINTS_BACK = re.compile(
    r"[\"'“‘(]*(?:he|she|it|they|his|her|its|their|this|these|that|those|such|er|es|dies|diese[rs]?|él|ella|ellos|esto)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of passage number `passage` (from 1), verbatim but for white space, and its place in there."""

    passage: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int  # from 0
    place: int
    start: int
    end: int
    text: str
    tokens: tuple[str, ...]
    terms: frozenset[str]
    held: Mapping[str, float]
    section: Mapping[str, float]
    is_heading: bool


def choose(question_text: str, history: Sequence[Turn], passages: Sequence[Passage]) -> list[Quote]:
    """Return 1 to `MAX_SENTENCES` quotes: best passage first, each passage's in reading order.

    Nothing is returned when the passages do not seem to hold an answer.
    """
    language = guess_language("\n".join(passage.text[:600] for passage in passages))
    question = understand(question_text, history, language)
    if not question.weights:
        return []
    read = [_read(question, number, passage, language) for number, passage in enumerate(passages)]
    titles = [_held(question, tokenize(_title(passage), language)) for passage in passages]
    if _answerability(question, read, titles) < _least_answerability(question_text, language):
        return []
    # What every title names is what the bot is about: it tells no sentence from another.
    topic = set(question.weights).intersection(*titles)
    weights = {term: w * (TOPIC_SHARE if term in topic else 1) for term, w in question.weights.items()}
    question = replace(question, weights=weights)
    scored = [
        pair for sentences, title in zip(read, titles, strict=True) for pair in _scored(question, sentences, title)
    ]
    scored.sort(key=lambda pair: (-pair[0], pair[1].passage, pair[1].place))
    return _in_order(_select(scored, read), scored)


def _title(passage: Passage) -> str:
    return " ".join([passage.document_title, *(one.title for one in headings(passage.text) if one.level == 1)])


def _read(question: Question, number: int, passage: Passage, language: str) -> list[_Sentence]:
    found = headings(passage.text)
    above = _held(question, tokenize(passage.heading or "", language))
    # A heading of the first level names the document, not a section of it.
    by_heading = [_held(question, tokenize(one.title, language)) if one.level > 1 else {} for one in found]
    sentences = []
    for place, (start, end) in enumerate(sentence_spans(passage.text)):
        text = passage.text[start:end]
        tokens = tuple(tokenize(text, language))
        nearest = bisect_right(found, start, key=lambda heading: heading.start) - 1
        section = by_heading[nearest] if nearest >= 0 else above
        is_heading = nearest >= 0 and start < found[nearest].end
        held = _held(question, tokens)
        sentences.append(
            _Sentence(number, place, start, end, text, tokens, frozenset(tokens), held, section, is_heading)
        )
    return sentences


def _least_answerability(text: str, language: str) -> float:
    if language in COMPOUNDING:
        return MIN_ANSWERABILITY - COMPOUNDS_ALLOWANCE
    inflected = language != "english" or 2 * len(_INFLECTED_SCRIPT.findall(text)) > len(text)
    return MIN_ANSWERABILITY - (INFLECTED_ALLOWANCE if inflected else 0)


def _answerability(
    question: Question, read: Sequence[Sequence[_Sentence]], titles: Sequence[Mapping[str, float]]
) -> float:
    """Return about -0.3 to 1.2: how much of the question the best passage, sentence and pair of sentences speak of.

    The weights were fitted on answerable questions against questions about other texts. Short questions are covered
    by chance more easily, so they have to be covered better.
    """
    in_passage = in_sentence = in_two = in_pairs = 0.0
    for sentences, title in zip(read, titles, strict=True):
        # Being filed under a title is less than saying it.
        named = {term: NAMED_SHARE * share for term, share in title.items()}
        parts = [named, *(sentence.held for sentence in sentences), *(sentence.section for sentence in sentences[:1])]
        in_passage = max(in_passage, _coverage(question, parts))
        for first, second in zip_longest(sentences, sentences[1:]):
            in_sentence = max(in_sentence, _coverage(question, [first.held]))
            in_two = max(in_two, _coverage(question, [first.held, second.held if second else {}]))
        in_pairs = max(in_pairs, _pairs_held(question, [sentence.tokens for sentence in sentences]))
    short = 1 / (1 + len(question.weights))
    return 0.7 * in_passage + 0.15 * in_sentence + 0.15 * in_two + 0.25 * in_pairs - short


def _scored(
    question: Question, sentences: Sequence[_Sentence], title: Mapping[str, float]
) -> list[tuple[float, _Sentence]]:
    whole = _coverage(question, [sentence.held for sentence in sentences])
    scored = []
    for sentence in sentences:
        new_terms = sentence.terms.difference(question.weights)
        says_nothing_new = len(new_terms) < (0 if question.yes_or_no else MIN_NEW_TERMS)
        if says_nothing_new or sentence.is_heading or sentence.text.endswith(("?", "？", "؟")):
            continue
        own = _coverage(question, [sentence.held])
        in_section = _coverage(question, [sentence.held, sentence.section])
        if not own and in_section < MIN_SECTION_COVERAGE:
            continue
        before = sentences[sentence.place - 1].held if sentence.place else {}
        in_context = _coverage(question, [sentence.held, sentence.section, before, title])
        score = own + SECTION_WEIGHT * (in_section - own) + CONTEXT_WEIGHT * (in_context - in_section)
        score += WHOLE_PASSAGE_WEIGHT * whole + RANK_WEIGHT / (1 + sentence.passage)
        score += PAIR_WEIGHT * _pairs_held(question, [sentence.tokens])
        if not own and question.expected:
            score *= UNSPOKEN_SHARE
        if question.expected:
            score += EXPECTED_WEIGHT * (question.expected(sentence.text) > 0)
        scored.append((score, sentence))
    return scored


def _select(scored: Sequence[tuple[float, _Sentence]], read: Sequence[Sequence[_Sentence]]) -> list[_Sentence]:
    chosen: list[_Sentence] = []
    chars = 0
    for score, sentence in scored:
        if len(chosen) >= MAX_SENTENCES or (chosen and score < GOOD_ENOUGH * scored[0][0]):
            break
        if any(_alike(sentence, other) for other in chosen):
            continue
        group = [sentence]
        if sentence.place and _POINTS_BACK.match(sentence.text):
            before = read[sentence.passage][sentence.place - 1]
            if before not in chosen:
                group.insert(0, before)
        added = sum(len(one.text) for one in group)
        if chosen and (chars + added > MAX_ANSWER_CHARS or len(chosen) + len(group) > MAX_SENTENCES):
            continue
        chosen += group
        chars += added
    return chosen


def _in_order(chosen: Sequence[_Sentence], scored: Sequence[tuple[float, _Sentence]]) -> list[Quote]:
    best: dict[int, int] = {}
    for place, (_, sentence) in enumerate(scored):
        best.setdefault(sentence.passage, place)
    ordered = sorted(chosen, key=lambda one: (best[one.passage], one.place))
    return [Quote(one.passage + 1, one.start, one.end, " ".join(one.text.split())) for one in ordered]


def _alike(one: _Sentence, other: _Sentence) -> bool:
    shared = len(one.terms & other.terms)
    return one is other or shared > 0.8 * min(len(one.terms), len(other.terms))


def _held(question: Question, tokens: Sequence[str]) -> dict[str, float]:
    """Return which of the question's terms are among the tokens: 1 each, less for a word only alike."""
    beginnings = {token[:length] for token in tokens for length in (4, 5, 6) if token.isalpha()}
    held = {}
    for term in question.weights:
        if term in tokens:
            held[term] = 1.0
        elif len(term) >= 5 and term.isalpha() and term[: min(len(term) - 1, 6)] in beginnings:
            held[term] = ALIKE_SHARE
    return held


def _pairs_held(question: Question, sentences: Iterable[Sequence[str]]) -> float:
    """Return the share of the question's neighbouring terms that are neighbours in one of the sentences."""
    if not question.pairs:
        return 0.0
    adjacent = {pair for tokens in sentences for pair in pairwise(tokens)}
    return sum(pair in adjacent for pair in question.pairs) / len(question.pairs)


def _coverage(question: Question, held: Iterable[Mapping[str, float]]) -> float:
    best: dict[str, float] = {}
    for part in held:
        for term, share in part.items():
            best[term] = max(share, best.get(term, 0.0))
    return sum(question.weights[term] * share for term, share in best.items()) / question.total
