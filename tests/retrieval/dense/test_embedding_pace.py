import asyncio
from dataclasses import dataclass, field

from kyrochat.retrieval.embedding_pace import AT_ONCE, Pace, PacedEmbedder
from tests.retrieval.dense.scene import Words


@dataclass
class Clock:
    """A clock that runs while somebody sleeps, and only then."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def paced(per_minute: int) -> tuple[PacedEmbedder, Words, Clock]:
    clock, words = Clock(), Words()
    return PacedEmbedder(words, Pace(per_minute, lambda: clock.now, clock.sleep)), words, clock


async def test_what_fits_into_the_minute_goes_at_once_and_the_rest_waits_for_its_share() -> None:
    embedder, words, clock = paced(600)
    texts = [f"text {number}" for number in range(1_000)]

    vectors = await embedder.embed_documents(texts)

    assert words.embedded == texts
    assert len(vectors) == len(texts)
    assert clock.slept == [10.0] * 4  # 600 at once, then 100 each time when they are there
    assert embedder.scheme == words.scheme


async def test_questions_never_wait_and_are_counted() -> None:
    embedder, words, clock = paced(60)
    await embedder.embed_documents(["text"] * 60)

    for _ in range(30):
        await embedder.embed_query("question")

    assert (len(words.asked), clock.slept) == (30, [])
    await embedder.embed_documents(["text"])
    assert clock.slept == [31.0]


async def test_a_batch_larger_than_the_minute_goes_when_the_minute_is_full() -> None:
    embedder, words, clock = paced(10)

    await embedder.embed_documents(["text"] * AT_ONCE)
    await embedder.embed_documents(["text"])

    assert len(words.embedded) == AT_ONCE + 1
    assert clock.slept == [546.0]


async def test_several_ingestions_take_turns_and_stay_within_the_budget() -> None:
    embedder, words, clock = paced(100)

    await asyncio.gather(*(embedder.embed_documents(["text"] * 50) for _ in range(6)))

    assert len(words.embedded) == 300
    assert clock.now == 120.0
