"""Ingestion while whoever makes or keeps vectors is away: it waits, says so, costs no attempt, and goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.ingest_outcomes import LONGEST_WAIT_S, MAX_WAITS
from kyrochat.documents.kinds import INGEST
from kyrochat.errors import ProviderRefused, ProviderUnavailable
from kyrochat.jobs.queue import GiveUp
from kyrochat.retrieval.ports import Vector
from tests.documents.scene import Library, essay
from tests.retrieval.dense.scene import Words, inside

KEY_REFUSED = ProviderUnavailable("The key was refused. Check it.", retryable=False)
AWAY = ProviderUnavailable("It cannot be reached. Try again.")


@dataclass
class Away(Words):
    """An embedder that fails until it does not."""

    problem: ProviderUnavailable | None = AWAY

    async def embed_documents(self, texts: Sequence[str]) -> Sequence[Vector]:
        if self.problem is not None:
            raise self.problem
        return await Words.embed_documents(self, texts)


async def due(library: Library) -> None:
    await library.run("UPDATE jobs SET run_at = now()")


@pytest.mark.parametrize("problem", [AWAY, KEY_REFUSED])
async def test_a_document_waits_as_long_as_it_takes_and_is_ready_then(
    library: Library, ada: Viewer, bot: Bot, problem: ProviderUnavailable
) -> None:
    words = Away(problem=problem)
    library = replace(library, setup=inside(words))
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 20))

    for waited in range(1, 12):  # more often than a job has attempts
        await library.work()
        row = await library.row(ada, document.id)
        [job] = await library.jobs()
        assert row is not None
        assert (row.status, row.attempts) == (DocumentStatus.QUEUED, 0)
        assert row.failure == f"{problem.message} It is tried again by itself."
        assert row.next_attempt_at is not None
        assert (job.attempts, job.payload["waits"]) == (0, waited)
        left = await library.run("SELECT extract(epoch FROM run_at - now()) FROM jobs")
        longest = min(2.0**waited, LONGEST_WAIT_S)
        assert longest / 2 - 5 < left[0][0] <= longest
        await due(library)
    words.problem = None
    await library.work()

    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.failure, row.attempts) == (DocumentStatus.READY, None, 1)
    assert len(words.embedded) == row.chunk_count
    assert await library.jobs() == []


async def test_nobody_waits_for_ever_and_a_refused_text_not_at_all(library: Library, ada: Viewer, bot: Bot) -> None:
    words = Away()
    library = replace(library, setup=inside(words))
    await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 4))
    [job] = await library.claim(INGEST)

    with pytest.raises(GiveUp, match="cannot be reached"):
        await library.ingestion()(replace(job, payload={**job.payload, "waits": MAX_WAITS}))
    words.problem = ProviderRefused("A text is too long.")
    with pytest.raises(GiveUp, match="too long"):
        await library.ingestion()(job)
