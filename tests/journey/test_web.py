"""From an address to a cited answer: added, read again, crawled, and finished by another process after a kill."""

import asyncio
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.db.embedded.processes import stop_what_is_left
from tests.documents.web.scene import page
from tests.graphql_client import GraphQLClient, register, visiting
from tests.journey.steps import (
    ADD_WEB,
    CRAWL,
    DEADLINE_S,
    PROGRESS,
    REFRESH,
    ask,
    new_bot,
    stored,
    until_crawled,
    until_read,
    watched,
)
from tests.journey.test_restarts import lapsed_leases
from tests.journey.website import NEW_HOURS, OLD_HOURS, museum_on_the_web
from tests.outbound.wire import answer
from tests.server_process import serving

ADMITTED = {"KYROCHAT_FETCH_ALLOW_CIDRS": "127.0.0.0/8"}
DOCUMENT = """query ($id: ID!) { document(id: $id) {
  title url source status failure version mediaType refreshEverySeconds refreshedAt nextRefreshAt refreshFailure text
} }"""
DOCUMENTS = "query ($id: ID!) { bot(id: $id) { documents(first: 100) { nodes { id title status url } } } }"
CRAWLED = """query ($id: ID!) { crawl(id: $id) {
  url status failure pagesWaiting pagesAdded pagesSkipped pagesFailed bot { id }
  pages(first: 50) { totalCount nodes { url state reason depth document { title status } } }
} }"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Generator[Path, None, None]:
    yield tmp_path / "data"
    stop_what_is_left(tmp_path / "data")


async def cited(user: GraphQLClient, bot_id: str, question: str) -> list[tuple[str, int, str]]:
    """Return title, version and quote of each citation of an answer."""
    answer_id = await ask(user, bot_id, question)
    await watched(user, answer_id)
    citations = (await stored(user, answer_id))["citations"]
    return [(each["documentTitle"], each["documentVersion"], each["quote"]) for each in citations]


async def document(user: GraphQLClient, document_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await user.run(DOCUMENT, id=document_id)
    return found


async def until(user: GraphQLClient, document_id: str, **fields: object) -> dict[str, Any]:
    """Wait until the document looks like that."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found = await document(user, document_id)
            if all(found[name] == value for name, value in fields.items()):
                return found
            async for _ in user.watch(PROGRESS, id=document_id):
                pass


async def test_a_page_is_added_read_cited_and_read_again(data_dir: Path) -> None:
    async with (
        museum_on_the_web() as web,
        serving(data_dir, **ADMITTED) as server,
        visiting(server.graphql_url) as visitor,
    ):
        user = await register(visitor)
        bot_id = await new_bot(user)

        added = await user.run(ADD_WEB, bot=bot_id, url=web.url("/hours#today"), every=3600)
        assert (added["__typename"], added["status"]) == ("Document", "QUEUED")
        states = await until_read(user, added["id"])
        assert (states[-1]["status"], states[-1]["title"]) == ("READY", "Opening hours")
        first = await document(user, added["id"])
        assert (first["url"], first["source"], first["mediaType"]) == (web.url("/hours"), "WEB", "text/html")
        assert (first["text"], first["refreshEverySeconds"], first["refreshFailure"]) == (OLD_HOURS, 3600, None)
        assert first["nextRefreshAt"] > first["refreshedAt"]
        question = "When does the reading room of the harbour museum open?"
        assert await cited(user, bot_id, question) == [("Opening hours", 1, OLD_HOURS)]

        # Unchanged: one conditional request, and nothing else happens.
        web.site.pages["/hours"] = b"HTTP/1.1 304 Not Modified\r\n\r\n"
        await user.run(REFRESH, id=added["id"])
        async with asyncio.timeout(DEADLINE_S):
            while (unchanged := await document(user, added["id"]))["refreshedAt"] == first["refreshedAt"]:
                await asyncio.sleep(0.05)
        assert {**unchanged, "refreshedAt": "", "nextRefreshAt": ""} == {
            **first,
            "refreshedAt": "",
            "nextRefreshAt": "",
        }
        assert web.wire.requests[-1].headers["if-none-match"] == '"1"'

        # Failed: the last good version is still there, and it says so.
        web.site.pages["/hours"] = answer(status="410 Gone")
        await user.run(REFRESH, id=added["id"])
        async with asyncio.timeout(DEADLINE_S):
            while (failed := await document(user, added["id"]))["refreshFailure"] is None:
                await asyncio.sleep(0.05)
        assert (failed["status"], failed["failure"], failed["text"]) == ("READY", None, OLD_HOURS)
        assert failed["refreshFailure"] == "The site has no such page (status 410). Check the address."
        assert await cited(user, bot_id, question) == [("Opening hours", 1, OLD_HOURS)]

        # Changed: a new version, from one moment to the next.
        web.site.pages["/hours"] = page("New opening hours", NEW_HOURS)
        await user.run(REFRESH, id=added["id"])
        changed = await until(user, added["id"], version=2, status="READY")
        assert (changed["title"], changed["text"], changed["refreshFailure"]) == ("New opening hours", NEW_HOURS, None)
        assert await cited(user, bot_id, question) == [("New opening hours", 2, NEW_HOURS)]
        assert server.faults() == []


async def test_a_site_is_crawled_as_its_robots_txt_and_its_sitemap_say(data_dir: Path) -> None:
    async with (
        museum_on_the_web() as web,
        serving(data_dir, **ADMITTED) as server,
        visiting(server.graphql_url) as visitor,
    ):
        user = await register(visitor)
        bot_id = await new_bot(user)

        started = await user.run(CRAWL, bot=bot_id, url=web.url(), pages=50)
        assert (started["__typename"], started["status"]) == ("Crawl", "RUNNING")
        states = await until_crawled(user, started["id"])
        assert states[-1] == {
            "id": started["id"],
            "status": "COMPLETED",
            "failure": None,
            "pagesWaiting": 0,
            "pagesAdded": 5,
            "pagesSkipped": 1,
            "pagesFailed": 0,
        }
        for node in (await user.run(DOCUMENTS, id=bot_id))["documents"]["nodes"]:
            await until_read(user, node["id"])
        crawl = await user.run(CRAWLED, id=started["id"])

        assert {(node["url"], node["state"]) for node in crawl["pages"]["nodes"]} == {
            (web.url(), "ADDED"),
            (web.url("/hours"), "ADDED"),
            (web.url("/tickets"), "ADDED"),
            (web.url("/tickets/groups"), "ADDED"),
            (web.url("/unlinked"), "ADDED"),
            (web.url("/staff/rota"), "SKIPPED"),
        }
        assert crawl["bot"]["id"] == bot_id
        assert {node["document"]["status"] for node in crawl["pages"]["nodes"] if node["document"]} == {"READY"}
        assert "/staff/rota" not in web.wire.targets
        assert await cited(user, bot_id, "What do groups of ten visitors pay together?") == [
            ("Groups", 1, "Groups of ten visitors pay ninety euros together.")
        ]
        assert await cited(user, bot_id, "When was the lighthouse beside the museum built?") == [
            ("Lighthouse", 1, "The lighthouse beside the museum was built in 1888.")
        ]
        assert server.faults() == []


async def test_a_crawl_that_a_kill_interrupts_is_finished_by_the_next_process(data_dir: Path) -> None:
    async with museum_on_the_web() as web:
        web.site.held = {"/tickets"}
        async with serving(data_dir, **ADMITTED) as server, visiting(server.graphql_url) as visitor:
            user = await register(visitor)
            bot_id = await new_bot(user)
            started = await user.run(CRAWL, bot=bot_id, url=web.url(), pages=50)
            async with asyncio.timeout(DEADLINE_S):
                await web.site.reached.wait()
            before = list(web.wire.targets)
            await server.kill()
        web.site.held = set()
        web.site.gate.set()

        async with (
            lapsed_leases(data_dir),
            serving(data_dir, **ADMITTED) as server,
            visiting(server.graphql_url) as visitor,
        ):
            user = replace(visitor, token=user.token)
            states = await until_crawled(user, started["id"])
            for node in (await user.run(DOCUMENTS, id=bot_id))["documents"]["nodes"]:
                assert (await until_read(user, node["id"]))[-1]["status"] == "READY"
            titles = sorted(node["title"] for node in (await user.run(DOCUMENTS, id=bot_id))["documents"]["nodes"])
            assert server.faults() == []

    assert (states[-1]["status"], states[-1]["pagesAdded"]) == ("COMPLETED", 5)
    assert titles == ["Groups", "Harbour museum", "Lighthouse", "Opening hours", "Tickets"]
    after = web.wire.targets[len(before) :]
    assert "/" in before
    assert "/" not in after  # what was done is not done again
    assert after.count("/tickets") == 1


async def test_without_the_operators_leave_this_machine_is_no_site(data_dir: Path) -> None:
    async with museum_on_the_web() as web, serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        refused = await user.run(ADD_WEB, bot=bot_id, url="http://127.1/")
        assert (refused["__typename"], "four decimal numbers" in refused["message"]) == ("InvalidInputProblem", True)
        added = await user.run(ADD_WEB, bot=bot_id, url=web.url("/hours"))
        states = await until_read(user, added["id"])
        again = await user.run(ADD_WEB, bot=bot_id, url=web.url("/hours"))

        assert states[-1]["status"] == "FAILED"
        assert "KYROCHAT_FETCH_ALLOW_CIDRS" in states[-1]["failure"]
        assert again["__typename"] == "ConflictProblem"
        assert web.wire.connections == 0
        assert server.faults() == []
