"""Whoever is invited follows the link, with an account or without one, in a real browser, against a real server."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.test_graphiql_page import ARGUMENTS, listen
from tests.graphql.test_api_accounts import LOGIN
from tests.graphql.test_api_members import INVITE
from tests.graphql.test_api_workspaces import CREATE
from tests.graphql_client import register, visiting
from tests.server_process import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright_api = pytest.importorskip("playwright.async_api", reason="`make browser` installs it")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

PASSWORD = "correct horse battery staple"
MEMBERS = "query ($id: ID!) { workspace(id: $id) { members { nodes { email role } } } }"


async def test_a_link_lets_in_somebody_new_and_somebody_with_an_account_and_works_once(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data") as server,
        visiting(server.graphql_url) as visitor,
        playwright_api.async_playwright() as playwright,
    ):
        ada = await register(visitor)
        bob = await register(visitor)
        bobs_email = (await bob.run("{ me { email } }"))["email"]
        workspace = await ada.run(CREATE, name="Harbour <office>")
        links = [await ada.run(INVITE, **{"in": workspace["id"]}, role=role) for role in ("EDITOR", "VIEWER")]
        context = await playwright.chromium.launch_persistent_context(
            tempfile.mkdtemp(dir=tmp_path), executable_path=CHROMIUM, headless=True, args=ARGUMENTS
        )
        page = context.pages[0]
        complaints = listen(page, urlsplit(server.url).netloc)
        message = page.locator("#message")

        await page.goto(f"{server.url}/invitation#{links[0]['token']}")
        await page.locator("#about").get_by_text("Join the workspace “Harbour <office>” as EDITOR.").wait_for()
        await page.screenshot(path=tmp_path / "invitation.png")
        await page.fill("#email", "cyd@example.com")
        await page.fill("#password", "password")
        await page.click("#register")
        await message.get_by_text("tried first").wait_for()
        await page.fill("#password", PASSWORD)
        await page.click("#register")
        await message.get_by_text("Your account is ready").wait_for()
        assert page.url == f"{server.url}/invitation"

        await page.goto("about:blank")
        await page.goto(f"{server.url}/invitation#{links[1]['token']}")
        await page.fill("#email", bobs_email)
        await page.fill("#password", "a wrong pass phrase")
        await page.click("#accept")
        await message.get_by_text("is wrong").wait_for()
        await page.fill("#password", PASSWORD)
        await page.click("#accept")
        await message.get_by_text("You have joined").wait_for()

        await page.goto("about:blank")
        await page.goto(f"{server.url}/invitation#{links[1]['token']}")
        await message.get_by_text("not good any more").wait_for()
        assert await page.locator("#form").is_hidden()

        members = (await ada.run(MEMBERS, id=workspace["id"]))["members"]["nodes"]
        roles = {member["email"]: member["role"] for member in members}
        assert roles.items() >= {"cyd@example.com": "EDITOR", bobs_email: "VIEWER"}.items()
        assert len(roles) == 3
        assert (await visitor.run(LOGIN, email="cyd@example.com", password=PASSWORD))["__typename"] == "Session"
        assert complaints == []
        assert server.faults() == []
        await context.close()
