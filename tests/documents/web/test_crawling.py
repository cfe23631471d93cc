"""A site becomes documents, page by page, within its limits, and whatever happens on the way."""

import asyncio
from dataclasses import replace

import pytest

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot, Crawl
from kyrochat.db.states import CrawlPageState, CrawlStatus, DocumentStatus, WorkspaceRole
from kyrochat.documents.intake import Quota
from kyrochat.documents.kinds import CRAWL, FETCH, INGEST
from kyrochat.documents.web.crawling import SiteCrawl
from kyrochat.documents.web.crawls import CrawlIsRunning
from kyrochat.documents.web.handlers import web_kinds
from kyrochat.documents.web.manners import Visitor
from kyrochat.errors import Forbidden, InvalidInput, NotFound
from tests.documents.scene import as_guest
from tests.documents.web.scene import Site, WebLibrary, page
from tests.outbound.wire import PUBLIC, Wire, answer, fetcher, listening, names, saying

ADDED, SKIPPED, FAILED, WAITING = (
    CrawlPageState.ADDED,
    CrawlPageState.SKIPPED,
    CrawlPageState.FAILED,
    CrawlPageState.WAITING,
)


async def crawled(
    library: WebLibrary, ada: Viewer, bot: Bot, wire: Wire, target: str = "/", *, pages: int = 100, depth: int = 3
) -> Crawl:
    crawl = await library.crawls.start(ada, bot.id, str(wire.address(target)), pages, depth, None)
    await library.work()
    return await library.crawl(ada, crawl.id)


async def titles(library: WebLibrary, ada: Viewer, bot: Bot) -> list[str]:
    found = await library.documents.page(ada, bot.id, PageRequest(100), None)
    return sorted(document.title for document in found.rows)


async def test_a_site_becomes_documents(library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire) -> None:
    site.pages |= {
        "/": page("Home", "Welcome to the museum.", "/hours", "tickets?utm_source=home", "/", "#top", "/logo.png"),
        "/hours": page("Hours", "The museum opens at nine.", "/", "/hours#sunday", "https://elsewhere.example/"),
        "/tickets": page("Tickets", "A ticket costs ten euros.", "/tickets/groups", "mailto:a@b.example"),
        "/tickets/groups": page("Groups", "Groups of ten pay less.", "/deep"),
        "/deep": page("Deep", "Too many links away."),
        "/guide.md": answer(b"# Guide\n\nBegin in the cellar.", content_type="text/markdown"),
    }
    site.pages["/hours"] = page("Hours", "The museum opens at nine.", "/guide.md")

    crawl = await crawled(library, ada, bot, wire, depth=2)

    assert (crawl.status, crawl.failure) == (CrawlStatus.COMPLETED, None)
    assert await library.crawled(ada, crawl.id) == {
        "/": (ADDED, None),
        "/hours": (ADDED, None),
        "/tickets": (ADDED, None),
        "/guide.md": (ADDED, None),
        "/tickets/groups": (ADDED, None),
    }
    assert await titles(library, ada, bot) == ["Groups", "Guide", "Home", "Hours", "Tickets"]
    [passage] = await library.search(bot, "What do groups pay?", 1)
    assert (passage.document_title, passage.text) == ("Groups", "Groups of ten pay less.")
    assert await library.jobs() == []
    # Each page once, in the order of their distance, and the site is asked first.
    assert wire.targets == ["/robots.txt", "/", "/sitemap.xml", "/hours", "/tickets", "/guide.md", "/tickets/groups"]


async def test_robots_txt_and_sitemaps_are_heard(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    robots = f"User-agent: *\nDisallow: /private\nSitemap: {wire.address('/maps.xml')}\n"
    index = (
        "<sitemapindex><sitemap><loc>/pages.xml</loc></sitemap><sitemap><loc>/gone.xml</loc></sitemap></sitemapindex>"
    )
    listed = [wire.address("/listed"), wire.address("/"), "https://elsewhere.example/", wire.address("/private/b")]
    urls = "".join(f"<url><loc>{address}</loc></url>" for address in listed)
    site.pages |= {
        "/robots.txt": answer(robots.encode(), content_type="text/plain"),
        "/maps.xml": answer(index.encode(), content_type="application/xml"),
        "/pages.xml": answer(f"<urlset>{urls}</urlset>".encode(), content_type="application/xml"),
        "/": page("Home", "Welcome to the museum.", "/linked", "/private/a"),
        "/linked": page("Linked", "Somebody leads here."),
        "/listed": page("Listed", "Nobody leads here but the map."),
    }

    crawl = await crawled(library, ada, bot, wire)

    found = await library.crawled(ada, crawl.id)
    assert {path: state for path, (state, _) in found.items()} == {
        "/": ADDED,
        "/linked": ADDED,
        "/listed": ADDED,
        "/private/a": SKIPPED,
        "/private/b": SKIPPED,
    }
    assert "robots.txt" in (found["/private/a"][1] or "")
    assert not [target for target in wire.targets if target.startswith("/private")]
    assert await titles(library, ada, bot) == ["Home", "Linked", "Listed"]


async def test_a_page_limit_holds_and_pages_near_the_start_go_first(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    for number in range(30):
        links = [f"/{number}/{child}" for child in range(3)] + [f"/{number + 1}"]
        site.pages[f"/{number}"] = page(f"Page {number}", f"This is number {number}.", *links)
        site.pages |= {f"/{number}/{child}": page("x", f"A child {number} {child}.", "/endless") for child in range(3)}

    crawl = await crawled(library, ada, bot, wire, "/0", pages=6, depth=10)

    assert crawl.status is CrawlStatus.COMPLETED
    assert await library.crawled(ada, crawl.id) == dict.fromkeys(
        ["/0", "/0/0", "/0/1", "/0/2", "/1", "/endless"], (ADDED, None)
    ) | {"/endless": (FAILED, "The site has no such page (status 404). Check the address.")}
    assert len(wire.targets) == 2 + 6


async def test_without_depth_it_is_one_page(library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire) -> None:
    site.pages["/"] = page("Home", "Welcome to the museum.", "/a", "/b")

    crawl = await crawled(library, ada, bot, wire, depth=0)

    assert await library.crawled(ada, crawl.id) == {"/": (ADDED, None)}
    assert wire.targets == ["/robots.txt", "/"]


async def test_pages_that_are_no_documents_say_why(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    text = "The same words twice."
    site.pages |= {
        "/": page("Home", "Welcome.", "/noindex", "/image", "/copy", "/twin", "/gone", "/away", "/empty"),
        "/noindex": page("No", "Not for robots.", "/beyond", head='<meta name="robots" content="noindex">'),
        "/beyond": page("Beyond", "Found through a page that is not kept."),
        "/image": answer(b"\x89PNG\r\n\x1a\n", content_type="image/png"),
        "/copy": page("Copy", text),
        "/twin": page("Copy", text),
        "/away": answer(status="302 Found", location="http://other.example/"),
        "/empty": answer(b""),
    }
    async with listening(saying(page("Other", "Elsewhere."))) as other:
        site.pages["/away"] = answer(status="302 Found", location=str(other.address("/", host="other.example")))
        elsewhere = replace(library, visitor=Visitor(fetcher(names(other_example=PUBLIC)), pause_s=0))
        crawl = await crawled(elsewhere, ada, bot, wire)

    assert await library.crawled(ada, crawl.id) == {
        "/": (ADDED, None),
        "/noindex": (SKIPPED, "The page asks robots not to keep it."),
        "/image": (SKIPPED, "Images cannot be read; upload the text itself instead."),
        "/copy": (ADDED, None),
        "/twin": (SKIPPED, f"The page has the same content as the document '{wire.address('/copy').authority}/copy'."),
        "/gone": (FAILED, "The site has no such page (status 404). Check the address."),
        "/away": (SKIPPED, "The page leads on to another site, or to no page."),
        "/empty": (SKIPPED, "The file is empty. Choose a file that holds text."),
        "/beyond": (ADDED, None),
    }
    assert len(library.files()) == 3
    assert crawl.status is CrawlStatus.COMPLETED


async def test_redirects_and_canonical_addresses_make_one_document(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    canonical = '<link rel="canonical" href="/hours">'
    site.pages |= {
        "/": page("Home", "Welcome.", "/old", "/hours", "/hours?print=1", "/a", "/b"),
        "/old": answer(status="301 Moved", location="/hours"),
        "/hours": page("Hours", "The museum opens at nine.", head=canonical),
        "/hours?print=1": page("Hours, printed", "The museum opens at nine. Print.", head=canonical),
        # Two that name each other: one of them has to stay.
        "/a": page("A", "Letter A.", head='<link rel="canonical" href="/b">'),
        "/b": page("B", "Letter B.", head='<link rel="canonical" href="/a">'),
    }

    crawl = await crawled(library, ada, bot, wire)

    hours = f"The page is to be found at {wire.address('/hours')}."
    assert await library.crawled(ada, crawl.id) == {
        "/": (ADDED, None),
        "/old": (SKIPPED, hours),
        "/hours": (ADDED, None),
        "/hours?print=1": (SKIPPED, hours),
        "/a": (SKIPPED, f"The page is to be found at {wire.address('/b')}."),
        "/b": (ADDED, None),
    }
    assert await titles(library, ada, bot) == ["B", "Home", "Hours"]


async def test_a_start_that_leads_to_the_real_host_makes_that_the_site(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    www = Visitor(fetcher(names(www_site_example=PUBLIC)), pause_s=0)
    start = str(wire.address("/", host="www.site.example"))
    async with listening(saying(answer(status="301 Moved", location=start))) as bare:
        site.pages |= {"/": page("Home", "Welcome.", "/a"), "/a": page("A", "Letter A.")}
        there = replace(library, visitor=www)
        crawl = await crawled(there, ada, bot, bare)

    async with library.database.begin(ada.workspaces):
        found = await library.crawls.found(ada, crawl, PageRequest(10), None)
    assert [(row.address, row.state) for row in reversed(found.rows)] == [
        (str(bare.address("/")), SKIPPED),
        (start, ADDED),
        (f"{start}a", ADDED),
    ]
    assert crawl.site == start


async def test_a_first_page_that_cannot_be_read_fails_the_crawl(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    crawl = await crawled(library, ada, bot, wire)

    assert (crawl.status, crawl.failure) == (
        CrawlStatus.FAILED,
        "The site has no such page (status 404). Check the address.",
    )
    assert await titles(library, ada, bot) == []
    assert await library.jobs() == []


async def test_a_site_that_is_busy_is_left_alone_for_a_while_and_the_others_come_first(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {
        "/": page("Home", "Welcome.", "/busy", "/a"),
        "/busy": answer(status="503 Busy", retry_after="90"),
        "/a": page("A", "Letter A."),
    }

    crawl = await crawled(library, ada, bot, wire)
    [(kind, in_s)] = await library.delayed()
    busy = (await library.crawled(ada, crawl.id))["/busy"]
    await library.let_time_pass()
    after_a_while = await library.crawled(ada, crawl.id)
    await library.let_time_pass()
    ended = await library.crawl(ada, crawl.id)

    assert (crawl.status, kind) == (CrawlStatus.RUNNING, CRAWL)
    assert in_s == pytest.approx(90, abs=5)
    assert busy == (WAITING, "The site cannot answer at the moment (status 503). Try again later.")
    assert after_a_while["/a"] == (ADDED, None)
    assert (await library.crawled(ada, crawl.id))["/busy"][0] is FAILED
    assert wire.targets.count("/busy") == 3
    assert ended.status is CrawlStatus.COMPLETED


async def test_pages_that_the_bot_has_are_skipped_so_a_second_crawl_finds_what_is_new(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a"), "/a": page("A", "Letter A.")}
    await crawled(library, ada, bot, wire)

    site.pages |= {"/": page("Home", "Welcome back.", "/a", "/new"), "/new": page("New", "Something new.")}
    second = await crawled(library, ada, bot, wire)

    assert await library.crawled(ada, second.id) == {
        "/": (SKIPPED, "The bot has the page already."),
        "/a": (SKIPPED, "The bot has the page already."),
        "/new": (ADDED, None),
    }
    assert second.status is CrawlStatus.COMPLETED
    assert await titles(library, ada, bot) == ["A", "Home", "New"]
    assert len(library.files()) == 3


async def test_pages_of_a_crawl_are_read_again_like_others(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a"), "/a": page("A", "Letter A.", etag='"1"')}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 10, 1, 600)
    await library.work()
    planned = await library.delayed()

    site.pages |= {"/": page("Home", "Welcome back."), "/a": b"HTTP/1.1 304 Not Modified\r\n\r\n"}
    await library.let_time_pass()

    assert [(kind, round(in_s / 60)) for kind, in_s in planned] == [(FETCH, 10)] * 2
    found = await library.documents.page(ada, bot.id, PageRequest(10), None)
    assert {(row.title, row.live_version) for row in found.rows} == {("Home", 2), ("A", 1)}
    assert (await library.crawl(ada, crawl.id)).status is CrawlStatus.COMPLETED


async def test_a_crawl_that_is_killed_anywhere_ends_with_the_same_documents(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    """The worker is lost at each request in turn: what was asked is never answered to it."""
    site.pages["/"] = page("Home", "Welcome.", *(f"/{number}" for number in range(5)))
    site.pages |= {f"/{number}": page(f"Page {number}", f"This is number {number}.") for number in range(5)}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 100, 3, None)

    for target in ("/", "/sitemap.xml", "/0", "/3"):
        site.held, site.reached, site.gate = {target}, asyncio.Event(), asyncio.Event()
        doomed = replace(library, visitor=Visitor(fetcher(), pause_s=0))
        working = asyncio.create_task(doomed.work())
        await site.reached.wait()
        working.cancel()
        await asyncio.wait([working])
        await library.lapse()
        await library.run("UPDATE jobs SET run_at = now()")
    site.held = set()
    await library.work()

    assert (await library.crawl(ada, crawl.id)).status is CrawlStatus.COMPLETED
    assert await library.crawled(ada, crawl.id) == dict.fromkeys(
        ["/", *(f"/{number}" for number in range(5))], (ADDED, None)
    )
    assert await titles(library, ada, bot) == ["Home", *(f"Page {number}" for number in range(5))]
    assert len(library.files()) == 6
    # What was done is not done again.
    assert (wire.targets.count("/1"), wire.targets.count("/3")) == (1, 2)


async def test_a_crawl_goes_on_in_slices_so_that_others_get_their_turn(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages["/"] = page("Home", "Welcome.", *(f"/{number}" for number in range(3)))
    site.pages |= {f"/{number}": page(f"Page {number}", f"This is number {number}.") for number in range(3)}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 100, 3, None)
    kinds = web_kinds(
        library.worker_database, library.changes, library.store, library.visitor, library.ingestion().extractor, Quota()
    )
    handler = kinds[CRAWL].handler
    assert isinstance(handler, SiteCrawl)

    slices = 0
    while jobs := await library.claim(CRAWL):
        [job] = jobs
        assert job.attempt == 1
        await replace(handler, slice_s=0.001)(job)
        await library.end(job)
        slices += 1

    assert (await library.crawl(ada, crawl.id)).status is CrawlStatus.COMPLETED
    assert slices >= 5
    assert {job.kind for job in await library.jobs()} == {INGEST}


async def test_a_worker_that_comes_back_too_late_adds_nothing(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.")}
    site.held = {"/"}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 100, 3, None)

    late = asyncio.create_task(library.work())
    await site.reached.wait()
    await library.lapse()
    site.held = set()
    await replace(library, visitor=Visitor(fetcher(), pause_s=0)).let_time_pass()
    site.gate.set()
    await late

    assert await library.crawled(ada, crawl.id) == {"/": (ADDED, None)}
    assert await titles(library, ada, bot) == ["Home"]
    assert len(library.files()) == 1


async def test_a_crawl_that_is_deleted_ends_and_what_it_has_added_stays(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a", "/b"), "/a": page("A", "Letter A."), "/b": page("B", "B.")}
    site.held = {"/a"}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 100, 3, None)

    working = asyncio.create_task(library.work())
    await site.reached.wait()
    assert await library.crawls.delete(ada, crawl.id) == crawl.id
    site.gate.set()
    await working

    assert await library.crawls.get(ada, crawl.id) is None
    assert await titles(library, ada, bot) == ["Home"]
    assert "/b" not in wire.targets
    assert len(library.files()) == 1
    assert await library.jobs() == []
    again = await crawled(library, ada, bot, wire)
    assert again.status is CrawlStatus.COMPLETED


async def test_a_crawl_ends_with_its_bot(library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a"), "/a": page("A", "Letter A.")}
    site.held = {"/a"}
    await library.crawls.start(ada, bot.id, str(wire.address("/")), 100, 3, None)

    working = asyncio.create_task(library.work())
    await site.reached.wait()
    await library.bots.delete(ada, bot.id)
    site.gate.set()
    await working
    await library.work()

    assert await library.traces(ada) == {}
    assert library.files() == []
    for table in ("crawls", "crawl_pages", "web_pages"):
        assert await library.run(f"SELECT count(*) FROM {table}", *ada.workspaces) == [(0,)]


async def test_a_deleted_document_leaves_its_page_in_the_crawl(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.")}
    crawl = await crawled(library, ada, bot, wire)
    [home] = (await library.documents.page(ada, bot.id, PageRequest(10), None)).rows

    await library.documents.delete(ada, home.id)
    await library.work()

    [found] = (await library.crawls.found(ada, crawl, PageRequest(10), None)).rows
    assert (found.state, found.document_id) == (ADDED, None)
    assert await library.traces(ada) == {}


async def test_a_full_workspace_fails_the_crawl_and_keeps_what_fits(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a", "/b"), "/a": page("A", "A."), "/b": page("B", "B.")}
    small = replace(library, quota=Quota(max_documents=2))

    crawl = await crawled(small, ada, bot, wire)

    assert crawl.status is CrawlStatus.FAILED
    assert "at most 2 documents" in (crawl.failure or "")
    assert await titles(library, ada, bot) == ["A", "Home"]
    assert len(library.files()) == 2
    assert await library.jobs() == []


async def test_a_paused_bot_is_not_crawled_for_until_it_goes_on(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a"), "/a": page("A", "Letter A.")}
    site.held = {"/a"}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 100, 3, None)
    working = asyncio.create_task(library.work())
    await site.reached.wait()
    await library.documents.pause(ada, bot.id)
    site.gate.set()
    await working
    paused = await library.crawled(ada, crawl.id)

    await library.documents.resume(ada, bot.id)
    site.held = set()
    await library.work()

    assert paused == {"/": (ADDED, None), "/a": (WAITING, None)}
    assert (await library.crawl(ada, crawl.id)).status is CrawlStatus.COMPLETED
    assert await titles(library, ada, bot) == ["A", "Home"]
    found = await library.documents.page(ada, bot.id, PageRequest(10), None)
    assert {row.status for row in found.rows} == {DocumentStatus.READY}


async def test_a_site_is_crawled_once_at_a_time(
    library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire
) -> None:
    site.pages |= {"/": page("Home", "Welcome.")}
    url = str(wire.address("/"))
    first = await library.crawls.start(ada, bot.id, url, 10, 1, None)

    with pytest.raises(CrawlIsRunning):
        await library.crawls.start(ada, bot.id, f"{url}?utm_source=again#top", 10, 1, None)
    await library.work()
    second = await library.crawls.start(ada, bot.id, url, 10, 1, None)

    found = await library.crawls.page(ada, bot.id, PageRequest(10))
    assert [row.id for row in found.rows] == [second.id, first.id]
    assert await library.crawls.count(ada, bot.id) == 2


async def test_a_crawl_can_be_followed(library: WebLibrary, ada: Viewer, bot: Bot, site: Site, wire: Wire) -> None:
    site.pages |= {"/": page("Home", "Welcome.", "/a", "/b"), "/a": page("A", "A."), "/b": page("B", "B.")}
    crawl = await library.crawls.start(ada, bot.id, str(wire.address("/")), 10, 1, None)
    states = []

    async def follow() -> None:
        async for row in library.crawls.progress(ada, crawl.id):
            states.append(row.status)

    async with library.changes.listening(library.database.engine), asyncio.timeout(30):
        following = asyncio.create_task(follow())
        while not states:
            await asyncio.sleep(0)
        await library.work()
        await following

    assert states[0] is CrawlStatus.RUNNING
    assert states[-1] is CrawlStatus.COMPLETED
    assert await library.crawls.counts(ada, [crawl.id]) == {(crawl.id, ADDED): 3}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"url": "example.com"}, "url"),
        ({"max_pages": 0}, "maxPages"),
        ({"max_pages": 2001}, "maxPages"),
        ({"max_depth": -1}, "maxDepth"),
        ({"max_depth": 11}, "maxDepth"),
        ({"refresh_every_s": 1}, "refreshEverySeconds"),
    ],
)
async def test_what_is_wrong_with_an_input_is_told(
    library: WebLibrary, ada: Viewer, bot: Bot, fields: dict[str, object], path: str
) -> None:
    values = {"url": "https://site.example/", "max_pages": 1, "max_depth": 1, "refresh_every_s": None} | fields

    with pytest.raises(InvalidInput) as refused:
        await library.crawls.start(ada, bot.id, **values)  # type: ignore[arg-type]

    assert [issue.path for issue in refused.value.issues] == [(path,)]
    assert await library.jobs() == []


async def test_what_does_not_belong_to_a_viewer_is_not_there(
    library: WebLibrary, ada: Viewer, bob: Viewer, bot: Bot
) -> None:
    crawl = await library.crawls.start(ada, bot.id, "https://site.example/", 10, 1, None)
    guest = as_guest(bob, bot.workspace_id, WorkspaceRole.VIEWER)

    with pytest.raises(NotFound):
        await library.crawls.start(bob, bot.id, "https://site.example/", 10, 1, None)
    with pytest.raises(Forbidden):
        await library.crawls.start(guest, bot.id, "https://other.example/", 10, 1, None)
    with pytest.raises(NotFound):
        await library.crawls.delete(bob, crawl.id)
    with pytest.raises(Forbidden):
        await library.crawls.delete(guest, crawl.id)
    with pytest.raises(NotFound):
        await anext(library.crawls.progress(bob, crawl.id))
    assert await library.crawls.get(bob, crawl.id) is None
    assert await library.crawls.many(bob, [crawl.id]) == []
    assert (await library.crawls.page(bob, bot.id, PageRequest(10))).rows == []
    assert await library.crawls.counts(bob, [crawl.id]) == {}
    assert (await library.crawls.get(guest, crawl.id)) is not None
