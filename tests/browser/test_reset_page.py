"""Whoever has forgotten a password follows the link, in a real browser, against a real server."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.test_graphiql_page import ARGUMENTS, listen
from tests.graphql.test_api_accounts import LINK, LOGIN, ME, NEW
from tests.graphql_client import register, visiting
from tests.server_process import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright_api = pytest.importorskip("playwright.async_api", reason="`make browser` installs it")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")


async def test_a_link_leads_to_a_page_that_sets_the_password_and_forgets_the_token(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data") as server,
        visiting(server.graphql_url) as visitor,
        playwright_api.async_playwright() as playwright,
    ):
        user = await register(visitor)
        me = await user.run(ME)
        link = await user.run(LINK, id=me["id"])
        context = await playwright.chromium.launch_persistent_context(
            tempfile.mkdtemp(dir=tmp_path), executable_path=CHROMIUM, headless=True, args=ARGUMENTS
        )
        page = context.pages[0]
        complaints = listen(page, urlsplit(server.url).netloc)

        await page.goto(f"{server.url}/reset-password#{link['token']}")
        message = page.locator("#message")
        await page.fill("#password", "password")
        await page.click("#button")
        await message.get_by_text("tried first").wait_for()
        await page.fill("#password", NEW)
        await page.check("#shown")
        await page.click("#button")
        await message.get_by_text("Sign in with it").wait_for()

        assert me["email"] in await message.inner_text()
        assert page.url == f"{server.url}/reset-password"
        assert await page.locator("#form").count() == 0
        assert (await visitor.run(LOGIN, email=me["email"], password=NEW))["__typename"] == "Session"

        await page.reload()
        await message.get_by_text("lacks a part").wait_for()
        assert await page.locator("#form").is_hidden()
        assert complaints == []
        assert server.faults() == []
        await context.close()
