"""Whoever has a link reads the conversation, in a real browser, and nothing in it becomes a part of the page."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.test_graphiql_page import ARGUMENTS, listen
from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, SEND, new_bot, new_conversation, until_read, watched
from tests.server_process import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright_api = pytest.importorskip("playwright.async_api", reason="`make browser` installs it")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter."
QUESTION = "When is the tower clock wound?"
MARKUP = "<img src=x onerror=alert(1)> **bold**"
RENAME = """mutation ($id: ID!, $title: String!) {
  renameConversation(input: {id: $id, title: $title}) { __typename } }"""
SHARE = """mutation ($id: ID!) { shareConversation(input: {conversationId: $id}) {
  ... on ShareCreated { token share { id } } } }"""
REVOKE = "mutation ($id: ID!) { revokeShare(id: $id) { __typename } }"


async def test_a_link_shows_the_conversation_as_text_until_it_is_revoked(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data") as server,
        visiting(server.graphql_url) as visitor,
        playwright_api.async_playwright() as playwright,
    ):
        ada = await register(visitor)
        bot = await new_bot(ada)
        document = await ada.run(ADD_TEXT, bot=bot, title="Clock <b>book</b>", text=NOTE)
        await until_read(ada, document["id"])
        conversation = await new_conversation(ada, bot)
        # More than a page of the list.
        for text in (QUESTION, *[MARKUP] * 25):
            exchange = await ada.run(SEND, conversation=conversation, text=text)
            await watched(ada, exchange["answer"]["id"])
        await ada.run(RENAME, id=conversation, title=MARKUP)
        shared = await ada.run(SHARE, id=conversation)
        context = await playwright.chromium.launch_persistent_context(
            tempfile.mkdtemp(dir=tmp_path), executable_path=CHROMIUM, headless=True, args=ARGUMENTS
        )
        page = context.pages[0]
        complaints = listen(page, urlsplit(server.url).netloc)
        link = f"{server.url}/shared#{shared['token']}"

        await page.goto(link)
        await page.locator("section").nth(51).wait_for()
        await page.screenshot(path=tmp_path / "shared.png")

        assert await page.locator("section").count() == 52
        assert await page.locator("#title").inner_text() == MARKUP
        said = page.locator("section.question .said")
        assert [await said.nth(place).inner_text() for place in (0, 25)] == [QUESTION, MARKUP]
        assert "wound on Mondays. [1]" in await page.locator("section.answer .said").first.inner_text()
        quote = await page.locator("section.answer li").first.inner_text()
        assert quote == "[1] “The tower clock is wound on Mondays.” — Clock <b>book</b>"
        assert await page.locator("img, b").count() == 0
        # It is there for whoever comes again, until it is not.
        await page.reload()
        await page.locator("section").nth(51).wait_for()
        await ada.run(REVOKE, id=shared["share"]["id"])
        await page.reload()
        await page.locator("#message").get_by_text("not good any more").wait_for()
        assert await page.locator("section").count() == 0
        assert complaints == []
        assert server.faults() == []
        await context.close()
