"""What a typing error costs: `python -m benchmarks.typos DIR...`, with folders as `benchmarks.retrieval` takes them.

One letter of one word of each question is left out, doubled, swapped or replaced, the same in every run. Beside it,
the same questions without the expansion of unknown words.
"""

import random
import sys
from collections import Counter
from collections.abc import Sequence

from benchmarks.collection import load
from benchmarks.retrieval import Ranker
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.metrics import mean, ndcg

MOST_LOST = 0.006
"""Of mean nDCG@10, over the folders: the gate."""

MIN_CHARS = 4


class Blind(Lexicon):
    """Knows no word that is near another one."""

    def neighbours(self, term: str) -> list[str]:
        """Return nothing."""
        del term
        return []


def mistyped(question: str, number: int, letters: str) -> str:
    """Return the question with one typing error in one of its longer words, with letters of its own script."""
    chance = random.Random(number)
    words = question.split(" ")
    places = [place for place, word in enumerate(words) if sum(map(str.isalpha, word)) >= MIN_CHARS]
    if not places:
        return question
    place = chance.choice(places)
    word = words[place]
    at = chance.choice([at for at, letter in enumerate(word) if letter.isalpha()])
    kind = chance.randrange(4)
    if kind == 0:
        word = word[:at] + word[at + 1 :]
    elif kind == 1:
        word = word[:at] + chance.choice(letters) + word[at:]
    elif kind == 2 and at + 1 < len(word):
        word = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    else:
        word = word[:at] + chance.choice(letters) + word[at + 1 :]
    words[place] = word
    return " ".join(words)


def main(arguments: Sequence[str]) -> int:
    """Print one row per folder and their mean."""
    rows = []
    sys.stdout.write(f"{'collection':<14}{'typed well':>11}{'mistyped':>10}{'lost':>8}{'lost without':>14}\n")
    for argument in arguments:
        collection = load(argument)
        ranker = Ranker(collection)
        known = ranker.lexicon
        written = Counter(letter for _, text in collection.queries for letter in text.lower() if letter.isalpha())
        # The alphabet, whichever it is, without the odd letter of a name.
        letters = "".join(letter for letter, number in written.most_common(40) if number > 20)
        blind = Blind(known.chunk_count, known.sample_count, known.frequencies)
        scores: list[tuple[float, float, float]] = []
        for number, (query, text) in enumerate(collection.queries):
            if query not in collection.gains:
                continue
            gains, typo = collection.gains[query], mistyped(text, number, letters)
            found = []
            for lexicon, asked in ((known, text), (known, typo), (blind, typo)):
                ranker.lexicon = lexicon
                found.append(ndcg([ranker.ids[place] for place, _ in ranker.search(asked)], gains))
            scores.append((found[0], found[1], found[2]))
        well, wrong, without = (mean(column) for column in zip(*scores, strict=True))
        rows.append((well, wrong, without))
        sys.stdout.write(f"{collection.name:<14}{well:11.4f}{wrong:10.4f}{well - wrong:8.4f}{well - without:14.4f}\n")
        sys.stdout.flush()
    well, wrong, without = (mean(column) for column in zip(*rows, strict=True))
    sys.stdout.write(f"{'mean':<14}{well:11.4f}{wrong:10.4f}{well - wrong:8.4f}{well - without:14.4f}\n")
    return 0 if well - wrong <= MOST_LOST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
