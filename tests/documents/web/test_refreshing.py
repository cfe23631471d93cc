"""Pages are read again: unchanged ones cost nothing, changed ones flip at once, failed ones leave what was."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.extraction import Extracted, Extractor
from kyrochat.documents.kinds import FETCH, INGEST
from kyrochat.documents.web.page_fetch import PageFetch
from kyrochat.jobs.worker import Kind
from kyrochat.working import job_kinds
from tests.documents.web.scene import Site, WebLibrary, page
from tests.outbound.wire import Wire, answer

OLD = "The museum opens at nine on weekdays."
NEW = "The museum opens at ten on weekdays."
HOUR = 3600


async def added(library: WebLibrary, ada: Viewer, bot: Bot, wire: Wire, every_s: int | None = HOUR) -> Document:
    document = await library.web.add(ada, bot.id, str(wire.address("/hours")), None, every_s)
    await library.work()
    return await library.document(ada, document.id)


async def found(library: WebLibrary, bot: Bot) -> list[tuple[int, str]]:
    return [(passage.document_version, passage.text) for passage in await library.search(bot, "museum", 3)]


async def test_a_page_is_read_again_when_its_time_comes(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)
    planned = await library.web_page(ada, first.id)
    [(kind, in_s)] = await library.delayed()
    assert kind == FETCH
    assert in_s == pytest.approx(HOUR, abs=5)
    assert planned.next_refresh_at is not None
    assert planned.refreshed_at is not None
    assert (planned.next_refresh_at - planned.refreshed_at).total_seconds() == pytest.approx(HOUR, abs=5)

    site.pages["/hours"] = page("New hours", NEW)
    await library.let_time_pass()

    second, later = await library.document(ada, first.id), await library.web_page(ada, first.id)
    assert (second.status, second.title, second.version, second.live_version) == (
        DocumentStatus.READY,
        "New hours",
        2,
        2,
    )
    assert await library.versions(ada, first.id) == {1: OLD, 2: NEW}
    assert await found(library, bot) == [(2, NEW)]
    assert [chunk.version for chunk in await library.chunks(ada, first.id)] == [2]
    assert len(library.files()) == 1
    assert later.next_refresh_at is not None
    assert later.next_refresh_at > planned.next_refresh_at
    assert [kind for kind, _ in await library.delayed()] == [FETCH]


@dataclass(frozen=True)
class CountingExtractor(Extractor):
    """Counts how often somebody wants a text of it."""

    read: list[str] = field(default_factory=list)

    async def extract(self, data: bytes | Path, media_type: str) -> Extracted:
        self.read.append(media_type)
        return await Extractor.extract(self, data, media_type)


@dataclass(frozen=True)
class CountingLibrary(WebLibrary):
    extractor: CountingExtractor = field(default_factory=CountingExtractor)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        kinds = job_kinds(self.worker_database, self.changes, self.store, self.setup, self.visitor)
        fetch = PageFetch(self.worker_database, self.changes, self.store, self.visitor, self.extractor)
        return {
            **kinds,
            FETCH: Kind(fetch, kinds[FETCH].on_failed, kinds[FETCH].on_retry),
            INGEST: Kind(self.ingestion(self.extractor), kinds[INGEST].on_failed, kinds[INGEST].on_retry),
        }


@pytest.fixture
def counting(library: WebLibrary) -> CountingLibrary:
    return CountingLibrary(
        library.database, library.worker_database, library.changes, library.store, library.directory, library.visitor
    )


async def state(library: WebLibrary, ada: Viewer, document: Document) -> tuple[object, ...]:
    row = await library.document(ada, document.id)
    chunks = await library.chunks(ada, document.id)
    return row.status, row.version, row.live_version, row.storage_key, [chunk.id for chunk in chunks], library.files()


async def test_a_page_that_says_it_has_not_changed_costs_one_request(
    counting: CountingLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD, etag='"1"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT")
    first = await added(counting, ada, bot, wire)
    before = await state(counting, ada, first)

    site.pages["/hours"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    await counting.let_time_pass()

    assert await state(counting, ada, first) == before
    assert counting.extractor.read == ["text/html"]
    assert wire.requests[-1].headers["if-none-match"] == '"1"'
    assert wire.requests[-1].headers["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    web_page = await counting.web_page(ada, first.id)
    assert web_page.refresh_failure is None
    assert [kind for kind, _ in await counting.delayed()] == [FETCH]


async def test_a_page_of_the_same_bytes_is_not_even_parsed(
    counting: CountingLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(counting, ada, bot, wire)
    before, seen = await state(counting, ada, first), (await counting.web_page(ada, first.id)).refreshed_at

    await counting.let_time_pass()

    assert await state(counting, ada, first) == before
    assert counting.extractor.read == ["text/html"]
    refreshed_at = (await counting.web_page(ada, first.id)).refreshed_at
    assert seen is not None
    assert refreshed_at is not None
    assert refreshed_at > seen


async def test_a_page_whose_text_is_the_same_makes_no_version_and_is_asked_for_with_its_new_validators(
    counting: CountingLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD, head="<!-- 1 --><meta name=csrf content=abc>", etag='"1"')
    first = await added(counting, ada, bot, wire)
    before = await state(counting, ada, first)

    site.pages["/hours"] = page("Hours", OLD, head="<!-- 2 --><meta name=csrf content=xyz>", etag='"2"')
    await counting.let_time_pass()
    site.pages["/hours"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    await counting.let_time_pass()

    assert await state(counting, ada, first) == before
    assert counting.extractor.read == ["text/html"] * 2  # the ingestion's, and the comparison's
    assert wire.requests[-1].headers["if-none-match"] == '"2"'


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (answer(status="404 Not Found"), "no such page"),
        (answer(status="302 Found", location="http://10.0.0.1/"), "private network"),
        (answer(b"<script>x()</script>"), "holds no text"),
        (answer(b"\x89PNG\r\n\x1a\n"), "cannot be read"),
    ],
)
async def test_a_page_that_cannot_be_read_any_more_leaves_the_last_good_version_and_says_so(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire, answered: bytes, said: str
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)
    before, seen = await state(library, ada, first), (await library.web_page(ada, first.id)).refreshed_at

    site.pages["/hours"] = answered
    await library.let_time_pass()

    failed = await library.web_page(ada, first.id)
    assert await state(library, ada, first) == before
    assert (await library.document(ada, first.id)).failure is None
    assert await found(library, bot) == [(1, OLD)]
    assert said in (failed.refresh_failure or "")
    assert failed.refreshed_at == seen
    assert [kind for kind, _ in await library.delayed()] == [FETCH]  # and it is tried again

    site.pages["/hours"] = page("Hours", NEW)
    await library.let_time_pass()
    mended = await library.web_page(ada, first.id)
    assert mended.refresh_failure is None
    assert await found(library, bot) == [(2, NEW)]


async def test_an_outage_is_tried_again_and_then_told_until_the_next_time(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)
    before = await state(library, ada, first)

    site.pages["/hours"] = answer(status="503 Busy")
    pauses = []
    for _ in range(5):
        await library.let_time_pass()
        assert await state(library, ada, first) == before
        pauses += [round(in_s) for _, in_s in await library.delayed()]

    assert pauses == [5, 20, 80, 320, pytest.approx(HOUR, abs=5)]
    assert "status 503" in ((await library.web_page(ada, first.id)).refresh_failure or "")


async def test_the_old_version_is_found_until_the_new_one_can_be(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)

    site.pages["/hours"] = page("Hours", NEW)
    await library.web.refresh(ada, first.id)
    [fetch] = await library.claim(FETCH)
    await library.kinds[FETCH].handler(fetch)
    between, meanwhile = await library.document(ada, first.id), await found(library, bot)
    await library.work()

    assert (between.status, between.version, between.live_version) == (DocumentStatus.QUEUED, 2, 1)
    assert meanwhile == [(1, OLD)]
    assert await found(library, bot) == [(2, NEW)]


async def test_a_new_version_that_cannot_be_indexed_leaves_the_old_one_and_says_so(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)
    site.pages["/hours"] = page("Hours", NEW)
    await library.web.refresh(ada, first.id)
    [fetch] = await library.claim(FETCH)
    await library.kinds[FETCH].handler(fetch)

    [ingestion] = await library.claim(INGEST)
    async with library.worker_database.begin([bot.workspace_id]) as session:
        await library.kinds[INGEST].on_failed(session, ingestion, "Gemini refused the key.")
    await library.end(ingestion)

    document, web_page = await library.document(ada, first.id), await library.web_page(ada, first.id)
    assert (document.status, document.failure, document.live_version) == (DocumentStatus.READY, None, 1)
    assert web_page.refresh_failure == "Gemini refused the key."
    assert await found(library, bot) == [(1, OLD)]

    # The same content again is no reason to leave it at that.
    await library.let_time_pass()
    assert await found(library, bot) == [(3, NEW)]
    assert (await library.web_page(ada, first.id)).refresh_failure is None
    assert len(library.files()) == 1


async def test_a_change_while_the_one_before_is_read_supersedes_it(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)
    for text in ("The museum is closed today.", NEW):
        site.pages["/hours"] = page("Hours", text)
        await library.web.refresh(ada, first.id)
        [fetch] = await library.claim(FETCH)
        await library.kinds[FETCH].handler(fetch)

    await library.work()

    assert await found(library, bot) == [(3, NEW)]
    assert await library.versions(ada, first.id) == {1: OLD, 3: NEW}
    assert len(library.files()) == 1


async def test_a_page_that_becomes_the_same_as_another_keeps_what_it_was(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"], site.pages["/other"] = page("Hours", OLD), page("Other", NEW)
    first = await added(library, ada, bot, wire)
    await library.web.add(ada, bot.id, str(wire.address("/other")), None, None)
    await library.work()

    site.pages["/hours"] = site.pages["/other"]
    await library.let_time_pass()

    assert (await library.document(ada, first.id)).live_version == 1
    failure = (await library.web_page(ada, first.id)).refresh_failure
    assert failure == "The page has the same content as the document 'Other'."


async def test_the_interval_can_be_changed_and_ended(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire, None)
    assert await library.delayed() == []
    assert (await library.web_page(ada, first.id)).next_refresh_at is None

    await library.web.schedule(ada, first.id, 600)
    [(_, in_s)] = await library.delayed()
    await library.web.schedule(ada, first.id, 60)
    [(_, sooner_s)] = await library.delayed()
    await library.web.schedule(ada, first.id, None)

    assert in_s == pytest.approx(600, abs=5)
    assert sooner_s == pytest.approx(60, abs=5)
    assert await library.delayed() == []
    assert (await library.web_page(ada, first.id)).next_refresh_at is None


async def test_an_interval_that_is_set_before_the_first_reading_begins_after_it(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    document = await library.web.add(ada, bot.id, str(wire.address("/hours")), None, None)

    await library.web.schedule(ada, document.id, 600)
    assert await library.delayed() == []
    await library.work()

    [(kind, in_s)] = await library.delayed()
    assert kind == FETCH
    assert in_s == pytest.approx(600, abs=5)


async def test_asking_twice_reads_once(library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)

    await asyncio.gather(*(library.web.refresh(ada, first.id) for _ in range(4)))
    assert [job.kind for job in await library.jobs()] == [FETCH]
    await library.work()

    assert wire.targets.count("/hours") == 2
    assert [kind for kind, _ in await library.delayed()] == [FETCH]


async def test_a_deleted_document_is_not_read_again(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/hours"] = page("Hours", OLD)
    first = await added(library, ada, bot, wire)
    await library.documents.delete(ada, first.id)
    await library.work()

    await library.let_time_pass()

    assert wire.targets.count("/hours") == 1
    assert await library.jobs() == []
    assert library.files() == []


async def test_ten_thousand_planned_readings_do_not_hold_up_a_claim(library: WebLibrary, ada: Viewer, bot: Bot) -> None:
    await library.run(
        "INSERT INTO jobs"
        " (id, workspace_id, kind, payload, state, priority, attempts, max_attempts, dedupe_key, run_at)"
        f" SELECT gen_random_uuid(), '{bot.workspace_id}', 'fetch_page', '{{}}', 'QUEUED', 0, 0, 5, 'fetch_page:' || n,"
        " now() + interval '1 day' FROM generate_series(1, 10000) AS n"
    )
    await library.claim(FETCH)
    loop = asyncio.get_running_loop()

    began = loop.time()
    for _ in range(10):
        assert await library.claim(FETCH) == []

    assert (loop.time() - began) / 10 < 0.1
