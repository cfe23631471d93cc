"""The example page, built as its README says, in a real browser."""

import asyncio
import json
import os
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, new_bot, until_read
from tests.server_process import serving
from tests.test_cli import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "typescript"
OPERATIONS = EXAMPLE / "src" / "gql" / "persisted-documents.json"
CHROMIUM = shutil.which("chromium")
NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter. Ask the porter for the lamp."
CREATE_KEY = """mutation ($bot: ID!, $origins: [String!]) {
  createApiKey(input: {name: "Page", scopes: [CHAT], botId: $bot, allowedOrigins: $origins}) {
    ... on ApiKeyCreated { secret } }
}"""

pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="Node is not on this machine."),
    pytest.mark.skipif(not (EXAMPLE / "node_modules").is_dir(), reason="`make clients` has not installed it."),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not on this machine."),
]


async def node(tool: str, *arguments: str, **variables: str) -> None:
    """Run a tool of the example's to its end."""
    process = await started(tool, *arguments, **variables)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def started(tool: str, *arguments: str, **variables: str) -> Process:
    binary = EXAMPLE / "node_modules" / ".bin" / tool
    environment = {**os.environ, "NO_COLOR": "1", **variables}
    return await asyncio.create_subprocess_exec(
        str(binary), *arguments, cwd=EXAMPLE, env=environment, stdout=PIPE, stderr=STDOUT
    )


@asynccontextmanager
async def previewing(built: Path, server_url: str) -> AsyncGenerator[str, None]:
    """Serve the page in `built` meanwhile, with the API under the same address."""
    where = ("--outDir", str(built), "--port", "0", "--host", "127.0.0.1", "--strictPort", "false")
    process = await started("vite", "preview", *where, KYROCHAT_URL=server_url)
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        yield found[0]
    finally:
        process.kill()
        await process.communicate()


async def test_the_page_streams_an_answer_with_its_citations(tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.async_api", reason="`make browser` has not installed Playwright.")
    built = tmp_path / "page"
    built.mkdir()
    async with (
        serving(tmp_path / "data") as server,
        visiting(server.graphql_url) as visitor,
        previewing(built, server.url) as origin,
    ):
        user = await register(visitor)
        bot = await new_bot(user)
        await until_read(user, (await user.run(ADD_TEXT, bot=bot, title="Clock", text=NOTE))["id"])
        key = await user.run(CREATE_KEY, bot=bot, origins=[origin])
        await node("graphql-codegen")
        await node("tsc")
        await node(
            "vite",
            "build",
            "--outDir",
            str(built),
            "--emptyOutDir",
            VITE_KYROCHAT_BOT=bot,
            VITE_KYROCHAT_KEY=key["secret"],
        )
        async with api.async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await browser.new_page()
            troubles: list[str] = []
            page.on("pageerror", lambda error: troubles.append(str(error)))
            await page.goto(origin)
            await page.fill("input", "When is the tower clock wound?")
            await page.click("form button >> nth=0")
            await page.wait_for_selector("#citations li", timeout=30_000)
            await page.wait_for_function("document.querySelector('#stop').hidden", timeout=30_000)
            answer = await page.inner_text("#answer")
            cited = await page.inner_text("#citations li")
            state = await page.inner_text("#state")
            await browser.close()
        registered = await asyncio.to_thread(run, "documents", "register", OPERATIONS, "--data-dir", tmp_path / "data")

    assert "Mondays" in answer
    assert cited.startswith("Clock: “")
    assert cited.removeprefix("Clock: “").removesuffix("”") in NOTE
    assert (state, troubles) == ("", [])
    documents = json.loads(OPERATIONS.read_text("utf-8"))
    assert registered.stdout == f"Registered {len(documents)} documents.\n"
