"""The baseline: the library bm25s over whole documents in memory, with its own English tokeniser and stemmer."""

import time
from collections.abc import Container
from typing import Any

import Stemmer  # type: ignore[import-not-found]

from benchmarks.collection import Collection
from benchmarks.product import Rankings

DEPTH = 100


def ask_bm25s(collection: Collection, wanted: Container[str]) -> Rankings:
    """Return what Lucene's variant with its usual settings finds for these queries, title and text in one."""
    import bm25s

    stemmer = Stemmer.Stemmer("english")
    # Its own default of 33 stopwords and words of two letters or more: what most people who install it get.
    options: Any = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    texts = [f"{title} {text}".strip() for _, title, text in collection.documents]
    model = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    tokens = bm25s.tokenize(texts, **options)
    keys, depth, rankings = [key for key, _, _ in collection.documents], min(DEPTH, len(texts)), Rankings({}, [])
    if not tokens.vocab:  # it would refuse what has no words for it
        return Rankings({key: [] for key, _ in collection.judged if key in wanted}, [0.0])
    model.index(tokens, show_progress=False)
    for key, text in collection.judged:
        if key not in wanted:
            continue
        began_at = time.perf_counter()
        found, scores = model.retrieve(bm25s.tokenize(text, **options), k=depth, show_progress=False)
        rankings.seconds.append(time.perf_counter() - began_at)
        rankings.documents[key] = [keys[place] for place, score in zip(found[0], scores[0], strict=True) if score > 0]
    return rankings
