"""Documents from the web: added without a look, fetched by the worker, and named by their page."""

import asyncio
from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.columns import new_id
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentSource, DocumentStage, DocumentStatus, WorkspaceRole
from kyrochat.documents.intake import Quota
from kyrochat.documents.kinds import FETCH, INGEST
from kyrochat.documents.service import FromTheWeb
from kyrochat.documents.web.manners import Visitor
from kyrochat.documents.web.service import NotFromTheWeb, SameAddress
from kyrochat.errors import Forbidden, InvalidInput, NotFound, QuotaExceeded, RateLimited
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.rates.limits import UPLOADS_PER_USER
from kyrochat.rates.service import Rates
from tests.documents.corpus_files import FILES
from tests.documents.scene import as_guest
from tests.documents.web.scene import Site, WebLibrary, page
from tests.outbound.wire import Names, Wire, answer, fetcher

BEES = "A hive needs two things: fresh water and a place in the sun."


async def test_a_page_becomes_a_document_that_is_found_and_cited(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/bees"] = page("Keeping bees", BEES)

    added = await library.web.add(ada, bot.id, str(wire.address("/bees#top")), None, None)
    assert (added.status, added.source, added.title) == (
        DocumentStatus.QUEUED,
        DocumentSource.WEB,
        f"site.example:{wire.port}/bees",
    )
    assert wire.connections == 0  # nothing is fetched in the request
    await library.work()

    document = await library.document(ada, added.id)
    assert (document.status, document.stage, document.progress, document.failure) == (
        DocumentStatus.READY,
        DocumentStage.DONE,
        1.0,
        None,
    )
    assert (document.title, document.media_type, document.url) == (
        "Keeping bees",
        "text/html",
        str(wire.address("/bees")),
    )
    assert (document.version, document.live_version, document.chunk_count) == (1, 1, 1)
    assert document.byte_size == len(site.pages["/bees"].partition(b"\r\n\r\n")[2])
    assert await library.versions(ada, added.id) == {1: BEES}
    [passage] = await library.search(bot, "What does a hive need?", 3)
    assert (passage.document_id, passage.document_title, passage.text) == (added.id, "Keeping bees", BEES)
    assert await library.jobs() == []
    assert wire.targets == ["/robots.txt", "/bees"]
    assert len(library.files()) == 1


async def test_a_title_that_was_given_stays(library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire) -> None:
    site.pages["/bees"] = page("Keeping bees", BEES)

    added = await library.web.add(ada, bot.id, str(wire.address("/bees")), " The hive book ", None)
    await library.work()

    assert (await library.document(ada, added.id)).title == "The hive book"


async def test_the_address_that_answers_is_shown_and_the_one_that_was_given_is_read_again(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/latest"] = answer(status="302 Found", location="/v1")
    site.pages["/v1"] = answer(b"# Version one\n\nBees.", content_type="text/markdown")
    added = await library.web.add(ada, bot.id, str(wire.address("/latest")), None, None)
    await library.work()
    first = await library.document(ada, added.id)

    site.pages["/latest"] = answer(status="302 Found", location="/v2")
    site.pages["/v2"] = answer(b"# Version two\n\nMore bees.", content_type="text/markdown")
    await library.web.refresh(ada, added.id)
    await library.work()
    second = await library.document(ada, added.id)

    assert (first.url, first.title, first.live_version) == (str(wire.address("/v1")), "Version one", 1)
    assert (second.url, second.title, second.live_version) == (str(wire.address("/v2")), "Version two", 2)
    assert second.media_type == "text/markdown"
    assert (await library.web_page(ada, added.id)).address == str(wire.address("/latest"))


async def test_a_page_in_an_old_charset_is_read_by_its_header(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/"] = answer("<p>Пчёлы делают мёд.</p>".encode("koi8-r"), content_type="text/html; charset=koi8-r")

    added = await library.web.add(ada, bot.id, str(wire.address("/")), None, None)
    await library.work()

    assert await library.versions(ada, added.id) == {1: "Пчёлы делают мёд."}


@pytest.mark.parametrize("content_type", ["application/pdf", "application/octet-stream", "text/html"])
async def test_a_pdf_behind_an_address_is_read_like_an_uploaded_one_whatever_the_server_calls_it(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire, content_type: str
) -> None:
    file = next(file for file in FILES if str(file) == "handbook.pdf")
    site.pages["/get?id=7"] = answer(file.data, content_type=content_type)

    added = await library.web.add(ada, bot.id, str(wire.address("/get?id=7")), None, None)
    await library.work()

    document = await library.document(ada, added.id)
    assert (document.status, document.failure, document.media_type) == (DocumentStatus.READY, None, "application/pdf")
    [passage] = await library.search(bot, "When is oxalic acid used?", 1)
    assert (passage.heading, passage.page) == ("Winter", 3)


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (answer(status="404 Not Found"), "no such page"),
        (answer(b"\x89PNG\r\n\x1a\n" + b"\0" * 100, content_type="image/png"), "cannot be read"),
        (answer(b"", content_type="text/html"), "empty"),
        (answer(b"<script>x()</script>"), "holds no text"),
        (answer(status="302 Found", location="http://127.0.0.1/"), "private network"),
    ],
)
async def test_a_page_that_cannot_be_read_fails_with_what_to_do_and_can_be_retried(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire, answered: bytes, said: str
) -> None:
    site.pages["/x"] = answered
    added = await library.web.add(ada, bot.id, str(wire.address("/x")), None, None)
    await library.work()
    failed = await library.document(ada, added.id)

    site.pages["/x"] = page("Bees", BEES)
    await library.documents.retry(ada, added.id)
    await library.work()
    retried = await library.document(ada, added.id)

    assert failed.status is DocumentStatus.FAILED
    assert said in (failed.failure or "")
    assert (retried.status, retried.failure, retried.title) == (DocumentStatus.READY, None, "Bees")
    assert await library.jobs() == []
    assert len(library.files()) == 1


async def test_a_site_that_is_down_is_tried_again_by_itself_and_the_document_says_so(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/robots.txt"] = answer(status="404 Not Found")
    site.pages["/x"] = answer(status="503 Busy", retry_after="60")
    added = await library.web.add(ada, bot.id, str(wire.address("/x")), None, None)

    await library.work()
    waiting = await library.document(ada, added.id)
    [(kind, in_s)] = await library.delayed()
    site.pages["/x"] = page("Bees", BEES)
    await library.let_time_pass()

    assert (waiting.status, waiting.stage, waiting.attempts) == (DocumentStatus.QUEUED, DocumentStage.WAITING, 1)
    assert waiting.failure == (
        "The site cannot answer at the moment (status 503). Try again later. It is tried again by itself."
    )
    assert waiting.next_attempt_at is not None
    assert kind == FETCH
    assert in_s == pytest.approx(60, abs=5)
    assert (await library.document(ada, added.id)).status is DocumentStatus.READY


async def test_a_site_that_stays_down_fails_after_five_attempts(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/x"] = answer(status="500 Broken")
    added = await library.web.add(ada, bot.id, str(wire.address("/x")), None, None)

    pauses = []
    for _ in range(5):
        await library.let_time_pass()
        pauses += [round(in_s) for _, in_s in await library.delayed()]

    document = await library.document(ada, added.id)
    assert (document.status, document.failure) == (
        DocumentStatus.FAILED,
        "The site cannot answer at the moment (status 500). Try again later.",
    )
    assert pauses == [5, 20, 80, 320]
    assert wire.targets.count("/x") == 5


async def test_an_address_that_was_public_when_it_was_added_is_checked_when_it_is_fetched(
    library: WebLibrary, ada: Viewer, bot: Bot
) -> None:
    rebound = Names({"site.example": [["10.0.0.7"]]})
    added = await library.web.add(ada, bot.id, "http://site.example/", None, None)

    changed = replace(library, visitor=Visitor(fetcher(rebound, AddressRules())))
    await changed.work()

    document = await library.document(ada, added.id)
    assert document.status is DocumentStatus.FAILED
    assert "KYROCHAT_FETCH_ALLOW_CIDRS" in (document.failure or "")
    assert "10.0.0.7" not in (document.failure or "")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"url": "example.com"}, ("url",)),
        ({"url": "http://127.1/"}, ("url",)),
        ({"url": "file:///etc/passwd"}, ("url",)),
        ({"url": ""}, ("url",)),
        ({"title": "x" * 301}, ("title",)),
        ({"refresh_every_s": 59}, ("refreshEverySeconds",)),
        ({"refresh_every_s": 10**9}, ("refreshEverySeconds",)),
    ],
)
async def test_what_is_wrong_with_an_input_is_told(
    library: WebLibrary, ada: Viewer, bot: Bot, fields: dict[str, object], path: tuple[str, ...]
) -> None:
    values = {"url": "https://site.example/", "title": None, "refresh_every_s": None} | fields

    with pytest.raises(InvalidInput) as refused:
        await library.web.add(ada, bot.id, **values)  # type: ignore[arg-type]

    assert [issue.path for issue in refused.value.issues] == [path]
    assert await library.traces(ada) == {}


async def test_a_bot_has_each_page_once_until_it_is_deleted(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/bees"] = page("Keeping bees", BEES)
    url = str(wire.address("/bees"))
    added = await library.web.add(ada, bot.id, url, None, None)
    await library.work()

    with pytest.raises(SameAddress, match="'Keeping bees'"):
        await library.web.add(ada, bot.id, url.replace("site", "SITE") + "#again", None, None)
    await library.documents.delete(ada, added.id)
    again = await library.web.add(ada, bot.id, url, None, None)
    await library.work()

    assert (await library.document(ada, again.id)).status is DocumentStatus.READY
    assert await library.traces(ada, added.id) == {}
    assert len(library.files()) == 1


async def test_two_pages_of_the_same_content_are_one_document(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/a"] = site.pages["/b"] = page("Bees", BEES)
    await library.web.add(ada, bot.id, str(wire.address("/a")), None, None)
    await library.work()

    second = await library.web.add(ada, bot.id, str(wire.address("/b")), None, None)
    await library.work()

    document = await library.document(ada, second.id)
    assert (document.status, document.failure) == (
        DocumentStatus.FAILED,
        "The page has the same content as the document 'Bees'.",
    )
    assert len(library.files()) == 1


async def test_a_document_that_is_deleted_while_it_is_fetched_leaves_nothing(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/bees"] = page("Keeping bees", BEES)
    site.held = {"/bees"}
    added = await library.web.add(ada, bot.id, str(wire.address("/bees")), None, None)

    working = asyncio.create_task(library.work())
    await site.reached.wait()
    await library.documents.delete(ada, added.id)
    site.gate.set()
    await working
    await library.work()

    assert await library.traces(ada) == {}
    assert library.files() == []
    assert await library.jobs() == []
    assert await library.web.pages(ada, [added.id]) == []


async def test_a_worker_that_comes_back_too_late_changes_nothing(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/bees"] = page("Old bees", "The old text of the page about bees.")
    site.held = {"/bees"}
    added = await library.web.add(ada, bot.id, str(wire.address("/bees")), None, None)

    late = asyncio.create_task(library.work())
    await site.reached.wait()
    await library.lapse()
    site.held = set()
    site.pages["/bees"] = page("Keeping bees", BEES)
    slow, site.gate = site.gate, asyncio.Event()
    other_process = replace(library, visitor=Visitor(fetcher(), pause_s=0))
    await other_process.let_time_pass()
    slow.set()
    await late
    await library.work()

    document = await library.document(ada, added.id)
    assert (document.status, document.title, document.live_version) == (DocumentStatus.READY, "Keeping bees", 1)
    assert await library.versions(ada, added.id) == {1: BEES}
    assert len(library.files()) == 1


async def test_what_does_not_belong_to_a_viewer_is_not_there(
    library: WebLibrary, ada: Viewer, bob: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/bees"] = page("Keeping bees", BEES)
    added = await library.web.add(ada, bot.id, str(wire.address("/bees")), None, None)
    guest = as_guest(bob, bot.workspace_id, WorkspaceRole.VIEWER)

    with pytest.raises(NotFound):
        await library.web.add(bob, bot.id, "https://site.example/other", None, None)
    with pytest.raises(Forbidden):
        await library.web.add(guest, bot.id, "https://site.example/other", None, None)
    for act in (library.web.refresh(bob, added.id), library.web.schedule(bob, added.id, 60)):
        with pytest.raises(NotFound):
            await act
    for act in (library.web.refresh(guest, added.id), library.web.schedule(guest, added.id, 60)):
        with pytest.raises(Forbidden):
            await act
    assert await library.web.pages(bob, [added.id]) == []
    assert len(await library.web.pages(guest, [added.id])) == 1


async def test_only_documents_from_the_web_are_read_again_and_they_are_not_replaced(
    library: WebLibrary, ada: Viewer, bot: Bot
) -> None:
    text = await library.documents.add_text(ada, bot.id, "Note", "Bees make honey.")
    web = await library.web.add(ada, bot.id, "https://site.example/", None, None)

    with pytest.raises(NotFromTheWeb):
        await library.web.refresh(ada, text.id)
    with pytest.raises(NotFromTheWeb):
        await library.web.schedule(ada, text.id, 60)
    with pytest.raises(FromTheWeb):
        await library.documents.replace_text(ada, web.id, None, "Wasps.")


async def test_a_full_workspace_takes_no_more_pages(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/long"] = page("Bees", BEES * 10)
    small = replace(library, quota=Quota(max_bytes=500, max_documents=1))

    added = await small.web.add(ada, bot.id, str(wire.address("/long")), None, None)
    with pytest.raises(QuotaExceeded):
        await small.web.add(ada, bot.id, str(wire.address("/another")), None, None)
    await small.work()

    document = await library.document(ada, added.id)
    assert document.status is DocumentStatus.FAILED
    assert "A workspace holds at most" in (document.failure or "")
    assert library.files() == []


async def test_pages_and_crawls_count_as_uploads(library: WebLibrary, ada: Viewer) -> None:
    rates = Rates(b"key")
    web = replace(library.web, rates=rates)
    crawls = replace(library.crawls, rates=rates)
    nowhere = new_id()
    for _ in range(UPLOADS_PER_USER.amount // 2):
        with pytest.raises(NotFound):
            await web.add(ada, nowhere, "https://site.example/", None, None)
        with pytest.raises(NotFound):
            await crawls.start(ada, nowhere, "https://site.example/", 1, 1, None)

    for act in (
        web.add(ada, nowhere, "https://site.example/", None, None),
        web.refresh(ada, nowhere),
        crawls.start(ada, nowhere, "https://site.example/", 1, 1, None),
    ):
        with pytest.raises(RateLimited):
            await act


async def test_a_paused_bot_fetches_nothing_until_it_goes_on(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/bees"] = page("Keeping bees", BEES)
    await library.documents.pause(ada, bot.id)
    added = await library.web.add(ada, bot.id, str(wire.address("/bees")), None, None)
    await library.let_time_pass()
    assert wire.connections == 0
    assert (await library.document(ada, added.id)).status is DocumentStatus.QUEUED
    assert [(job.kind, job.attempts) for job in await library.jobs()] == [(FETCH, 0)]

    await library.documents.resume(ada, bot.id)
    await library.work()

    assert (await library.document(ada, added.id)).status is DocumentStatus.READY
    assert INGEST not in [job.kind for job in await library.jobs()]
