"""What is to happen in one run: all of it follows from the seed and the run's number."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.gemini_steps import After, Finish, Step, Text

WORDS = ("bees", "Höhle", "蜂蜜", "🐝🍯", "e\u0301te\u0301", "of", "the", "queen", "\n\n", "naïve", "—", "hive")
_NAME = re.compile(r"run (\d+) of seed (\d+)")


@dataclass(frozen=True)
class Watcher:
    """How somebody watches: he is cut off after so many events, again and again, and reads slowly."""

    seed: str
    by_socket: bool
    cuts: tuple[int, ...]
    pause_s: float
    late_s: float


@dataclass(frozen=True)
class Plan:
    """One run. `stop_after` is how many events somebody sees before he stops the answer."""

    seed: int
    number: int
    senders: int
    watchers: tuple[Watcher, ...]
    stop_after: int | None

    @classmethod
    def of(cls, seed: int, number: int) -> "Plan":
        luck = _luck(seed, number, "plan")
        watchers = tuple(
            Watcher(
                seed=f"{seed} {number} watcher {place}",
                by_socket=luck.random() < 0.7,
                cuts=tuple(luck.randint(0, 6) for _ in range(luck.choice([0, 1, 2, 4, 8]))),
                pause_s=luck.choice([0, 0, 0, 0.02, 0.2]),
                late_s=luck.choice([0, 0, 0, 0.5, 4]),
            )
            for place in range(luck.choice([1, 1, 2, 2, 3, 5]))
        )
        stop_after = luck.randint(0, 25) if luck.random() < 0.2 else None
        return cls(seed, number, luck.choice([1, 1, 2, 3]), watchers, stop_after)

    @property
    def question(self) -> str:
        return f"What is said in run {self.number} of seed {self.seed}?"

    @property
    def key(self) -> str:
        return f"key {self.number} of {self.seed}"

    @property
    def text(self) -> str:
        """What the model says to the end, each word with its number: nothing lost, doubled or moved looks like it."""
        return "".join(pieces_of(self.seed, self.number))


def pieces_of(seed: int, number: int) -> list[str]:
    luck = _luck(seed, number, "text")
    pieces, count = [], 0
    for _ in range(luck.choice([1, 5, 20, 40, 80])):
        words = []
        for _ in range(luck.randint(1, 4)):
            count += 1
            words.append(f"{count}:{luck.choice(WORDS)} ")
        pieces.append("".join(words))
    # Blanks at the very end are not kept.
    return [*pieces, "End."]


def model(body: dict[str, Any]) -> Sequence[Step]:
    """Answer as the run that the question names plans it: in bursts, steadily, with long silences."""
    found = _NAME.search(body["contents"][-1]["parts"][-1]["text"])
    assert found is not None
    number, seed = int(found[1]), int(found[2])
    luck = _luck(seed, number, "pace")
    pace_s = luck.choice([0, 0.005, 0.02, 0.06])
    steps: list[Step] = []
    for piece in pieces_of(seed, number):
        silence_s = luck.uniform(0.3, 2) if luck.random() < 0.02 else pace_s
        steps += [After(silence_s), Text(piece)]
    return (*steps, Finish())


def _luck(seed: int, number: int, what: str) -> random.Random:
    return random.Random(f"{seed} {number} {what}")
