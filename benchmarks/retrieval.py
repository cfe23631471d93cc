"""Retrieval quality and speed without any key: `python -m benchmarks.retrieval DIR...`.

Each DIR is a folder as `benchmarks.collection` reads it, or the name of one that the project has. `DIR:german` says
which language its Latin script is in, otherwise it is guessed. Where queries come with answers, the offline answerer is
measured too. These are the terms and weights alone, in memory; `benchmarks.evaluation` goes the whole way.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from benchmarks.collection import Collection, load
from kyrochat.retrieval.extraction import choose
from kyrochat.retrieval.lexical import chunk_tokens, encode_query, encode_tokens, tokenize
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.metrics import mean, ndcg, recall, reciprocal_rank
from kyrochat.retrieval.proximity import RERANKED, proximity_bonus
from kyrochat.retrieval.types import Passage

KEPT_HITS = 100
PASSAGES = 8
NO_ID = UUID(int=0)


class Ranker:
    """Scores by the very vectors that the database holds, kept by term index for speed."""

    def __init__(self, collection: Collection) -> None:
        self.language = collection.language
        self.ids = [document[0] for document in collection.documents]
        self.tokens = [chunk_tokens(title, text, self.language) for _, title, text in collection.documents]
        self.lexicon = Lexicon.build(self.tokens)
        self.postings: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for place, tokens in enumerate(self.tokens):
            vector = encode_tokens(tokens)
            for index, value in zip(vector.indices, vector.values, strict=True):
                self.postings[index].append((place, value))

    def search(self, question: str, *, proximity: bool = True) -> list[tuple[int, float]]:
        """Return up to `KEPT_HITS` (place in the corpus, score), best first."""
        vector = encode_query(question, self.lexicon, self.language)
        scores: dict[int, float] = defaultdict(float)
        for index, weight in zip(vector.indices, vector.values, strict=True):
            for place, value in self.postings.get(index, ()):
                scores[place] += weight * value
        hits = sorted(scores.items(), key=lambda hit: (-hit[1], hit[0]))[:KEPT_HITS]
        if not proximity:
            return hits
        tokens = self.lexicon.corrected(tokenize(question, self.language))
        top = [
            (place, score + proximity_bonus(tokens, self.tokens[place], self.lexicon.idf))
            for place, score in hits[:RERANKED]
        ]
        return sorted(top, key=lambda hit: (-hit[1], hit[0])) + hits[RERANKED:]


def quality(collection: Collection, *, proximity: bool) -> tuple[float, float, float]:
    """Return mean nDCG@10, recall@100 and MRR@10 over the queries that have judgements."""
    ranker = Ranker(collection)
    judged = [(query, text) for query, text in collection.queries if query in collection.gains]
    rows = []
    for query, text in judged:
        ranking = [ranker.ids[place] for place, _ in ranker.search(text, proximity=proximity)]
        gains = collection.gains[query]
        rows.append((ndcg(ranking, gains), recall(ranking, gains), reciprocal_rank(ranking, gains)))
    by_measure = list(zip(*rows, strict=True)) or [(), (), ()]
    return mean(by_measure[0]), mean(by_measure[1]), mean(by_measure[2])


def answer_quality(collection: Collection) -> tuple[float, float, float]:
    """Return how often the offline answerer's text holds the answer, abstains wrongly, and abstains rightly.

    The first two are shares of the questions whose relevant document is among the `PASSAGES` best; for the third the
    relevant documents are taken out, so that only their neighbours are left.
    """
    ranker = Ranker(collection)
    held = silent = answerable = rightly_silent = 0
    for query, text in collection.queries:
        hits = ranker.search(text)
        relevant = collection.gains.get(query, {})
        rest = [hit for hit in hits if ranker.ids[hit[0]] not in relevant]
        rightly_silent += not choose(text, (), _passages(collection, rest))
        if not any(ranker.ids[place] in relevant for place, _ in hits[:PASSAGES]):
            continue
        answerable += 1
        quotes = choose(text, (), _passages(collection, hits))
        silent += not quotes
        held += _plain(collection.answers[query]) in _plain(" ".join(quote.text for quote in quotes))
    count = max(answerable, 1)
    return held / count, silent / count, rightly_silent / max(len(collection.queries), 1)


def _passages(collection: Collection, hits: Sequence[tuple[int, float]]) -> list[Passage]:
    passages = []
    for place, score in hits[:PASSAGES]:
        _, title, text = collection.documents[place]
        passages.append(Passage(NO_ID, NO_ID, title, 1, 0, len(text), text, score))
    return passages


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def encoding_speed(collection: Collection) -> tuple[float, float]:
    """Return encoded documents per second, and how many times longer that takes than a bare `str.split`."""
    texts = [title + " " + text for _, title, text in collection.documents]
    started = time.perf_counter()
    for text in texts:
        text.split()
    split_s = time.perf_counter() - started
    started = time.perf_counter()
    for _, title, text in collection.documents:
        encode_tokens(chunk_tokens(title, text, collection.language))
    encode_s = time.perf_counter() - started
    return len(texts) / encode_s, encode_s / split_s


def main(arguments: Sequence[str]) -> int:
    """Print one row per folder."""
    if not arguments:
        _print(str(__doc__))
        return 2
    _print(f"{'collection':<14}{'nDCG@10':>9}{'+near':>8}{'R@100':>8}{'MRR@10':>8}{'chunks/s':>10}{'x split':>9}")
    collections = [load(argument) for argument in arguments]
    for collection in collections:
        rate, times = encoding_speed(collection)  # first, while no term is cached yet
        plain, _, _ = quality(collection, proximity=False)
        near, recalled, first = quality(collection, proximity=True)
        numbers = f"{plain:9.4f}{near:8.4f}{recalled:8.4f}{first:8.4f}{rate:10.0f}{times:9.1f}"
        _print(f"{collection.name:<14}{numbers}")
    asked = [collection for collection in collections if collection.answers]
    if asked:
        _print(f"\n{'offline answers':<17}{'right':>8}{'silent, wrongly':>17}{'silent, rightly':>17}")
    for collection in asked:
        held, silent, rightly_silent = answer_quality(collection)
        _print(f"{collection.name:<17}{held:8.3f}{silent:17.3f}{rightly_silent:17.3f}")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
