"""Documents whose content is replaced: one version is searched at any time, and quotes of old ones still hold."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStage, DocumentStatus
from kyrochat.documents.intake import SameContent
from kyrochat.documents.kinds import INGEST, SWEEP_VERSIONS
from kyrochat.errors import NotFound
from tests.documents.scene import GatedExtractor, Library, essay, pieces

EMPTY = b"<html><script>1</script></html>"
OLD, NEW = "The tower clock is wound on Mondays.", "The tower clock is wound on Fridays, by hand."


async def found(library: Library, bot: Bot, question: str = "When is the tower clock wound?") -> list[tuple[int, str]]:
    return [(hit.document_version, hit.text) for hit in await library.search(bot, question, 5)]


async def test_the_old_version_is_found_until_the_new_one_is_read_and_never_both(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", OLD)
    await library.work()

    replaced = await library.documents.replace_text(ada, document.id, None, NEW)

    assert (replaced.version, replaced.live_version, replaced.title) == (2, 1, "Clock")
    assert (replaced.status, replaced.stage, replaced.attempts) == (DocumentStatus.QUEUED, DocumentStage.WAITING, 0)
    assert await found(library, bot) == [(1, OLD)]
    await library.work()
    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.stage, row.version, row.live_version) == (DocumentStatus.READY, DocumentStage.DONE, 2, 2)
    assert await found(library, bot) == [(2, NEW)]
    # What an old answer quotes is still where it says.
    assert await library.documents.text(ada, row, 1, 4, 15) == OLD[4:15]
    assert await library.versions(ada, document.id) == {1: OLD, 2: NEW}


async def test_while_searches_run_the_versions_change_in_one_moment(library: Library, ada: Viewer, bot: Bot) -> None:
    document = await library.documents.add_text(ada, bot.id, "Essay", essay("Rhine", 60))
    await library.work()
    seen: list[set[int]] = []
    done = asyncio.Event()

    async def search() -> None:
        while not done.is_set():
            hits = await library.search(bot, "Where does the Rhine flow?", 20)
            seen.append({hit.document_version for hit in hits})

    searching = [asyncio.create_task(search()) for _ in range(3)]
    for version in range(2, 6):
        await library.documents.replace_text(ada, document.id, None, essay(f"Rhine {version}", 60))
        await library.work()
    done.set()
    await asyncio.gather(*searching)

    assert {len(versions) for versions in seen} == {1}
    assert seen[-1] == {5}


async def test_the_file_of_the_old_version_goes_when_the_new_one_is_live(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_file(ada, bot.id, "clock.txt", None, pieces(OLD.encode()))
    await library.work()
    replaced = await library.documents.replace_file(ada, document.id, "clock.txt", "Tower", pieces(NEW.encode()))
    assert library.files() == sorted([document.storage_key, replaced.storage_key])

    await library.work()

    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.title, row.stale_files) == ("Tower", [])
    assert library.files() == [replaced.storage_key]
    assert await library.jobs() == []


async def test_a_new_version_that_cannot_be_read_leaves_the_old_one_searched(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", OLD)
    await library.work()
    await library.documents.replace_file(ada, document.id, "clock.html", None, pieces(EMPTY))

    await library.work()

    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.stage, row.version, row.live_version) == (
        DocumentStatus.FAILED,
        DocumentStage.READING,
        2,
        1,
    )
    assert row.failure
    assert await found(library, bot) == [(1, OLD)]
    await library.documents.replace_text(ada, document.id, None, NEW)
    await library.work()
    assert await found(library, bot) == [(3, NEW)]
    assert len(library.files()) == 1


async def test_a_replacement_in_the_middle_of_an_ingestion_wins_and_the_one_before_gives_up(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", OLD)
    [job] = await library.claim(INGEST)
    extractor = GatedExtractor()
    first = asyncio.create_task(library.ingestion(extractor)(job))
    await extractor.reached.wait()

    await library.documents.replace_text(ada, document.id, None, NEW)
    extractor.gate.set()
    await first
    await library.end(job)
    await library.work()

    assert await found(library, bot) == [(2, NEW)]
    assert await library.versions(ada, document.id) == {2: NEW}
    assert len(library.files()) == 1
    assert await library.jobs() == []


async def test_ten_replacements_at_once_are_ten_versions_and_the_last_one_is_live(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", OLD)
    await library.work()

    await asyncio.gather(
        *(library.documents.replace_text(ada, document.id, None, f"{NEW} {turn}") for turn in range(10))
    )
    await library.work()

    row = await library.row(ada, document.id)
    assert row is not None
    assert (row.status, row.version, row.live_version) == (DocumentStatus.READY, 11, 11)
    assert [version for version, _ in await found(library, bot)] == [11]
    assert library.files() == [row.storage_key]
    assert await library.jobs() == []


async def test_the_same_content_again_or_that_of_another_document_is_a_conflict_and_changes_nothing(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    clock = await library.documents.add_text(ada, bot.id, "Clock", OLD)
    await library.documents.add_text(ada, bot.id, "Bell", NEW)
    await library.work()
    before = (await library.row(ada, clock.id), library.files())

    for body, title in ((OLD, "Clock"), (NEW, "Bell")):
        with pytest.raises(SameContent, match=title):
            await library.documents.replace_text(ada, clock.id, None, body)

    assert (await library.row(ada, clock.id), library.files()) == before
    assert await library.jobs() == []


async def test_a_document_that_is_deleted_while_its_new_file_comes_in_stays_deleted(
    library: Library, ada: Viewer, bot: Bot
) -> None:
    document = await library.documents.add_text(ada, bot.id, "Clock", OLD)
    await library.work()

    async def late() -> AsyncGenerator[bytes, None]:
        yield NEW.encode()
        await library.documents.delete(ada, document.id)
        await library.work()

    with pytest.raises(NotFound):
        await library.documents.replace_file(ada, document.id, "clock.txt", None, late())

    assert await library.traces(ada) == {}
    assert library.files() == []
    assert [job.kind for job in await library.jobs() if job.kind in (INGEST, SWEEP_VERSIONS)] == []
