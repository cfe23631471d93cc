"""A newcomer presses play in each tab, in a real browser, against a real server."""

import json
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server_process import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright_api = pytest.importorskip("playwright.async_api", reason="`make browser` installs it")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

# The browser's own services would be refused by a closed network, and count as requests to other hosts.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STEPS = (
    ("SignUp", '"accessToken"', "SignUp"),
    ("CreateBot", '"id"', None),
    ("AddDocument", '"id"', None),
    ("WatchDocument", '"status": "READY"', None),
    ("StartConversation", '"id"', None),
    ("Ask", '"answer"', None),
    ("WatchAnswer", '"AnswerCompleted"', None),
    ("WhyThisAnswer", '"LEXICAL"', None),
    ("TrySearch", '"KEPT"', None),
    ("RateAnswer", '"UP"', "RateAnswer"),
)
# What a hand takes from a tab to the button. GraphiQL itself follows a tab in that time, but not in no time.
FROM_TAB_TO_BUTTON_MS = 500
PANE = """() => __MONACO.editor.getEditors()
    .find(editor => editor.getModel().uri.path.endsWith('response.json'))?.getValue() ?? ''"""


async def test_every_tab_works_without_another_host_and_without_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, playwright_api.async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tempfile.mkdtemp(dir=tmp_path),
            executable_path=CHROMIUM,
            headless=True,
            args=ARGUMENTS,
            viewport={"width": 1440, "height": 860},
        )
        page = context.pages[0]
        complaints = listen(page, urlsplit(server.url).netloc)
        await page.goto(f"{server.url}/graphiql/")
        await page.wait_for_selector(".graphiql-query-editor .view-lines")
        await page.wait_for_function("() => globalThis.__MONACO !== undefined")

        shown = {}
        for place, (name, wanted, menu) in enumerate(STEPS):
            shown[name] = await press_play(page, place, name, menu, wanted)

        answer = json.loads(shown["WatchAnswer"])
        assert answer["received"] == len(answer["events"])
        assert answer["text"] == "".join(
            event["text"] for event in reversed(answer["events"]) if event["__typename"] == "TextDelta"
        )
        assert "[1]" in answer["text"]
        assert (await page.locator(".kyro-session").inner_text()).startswith("signed in as")
        assert complaints == []
        assert server.faults() == []
        await context.close()


def listen(page: Any, host: str) -> list[str]:
    """Collect errors of the console and of the page, failed requests, and requests to other hosts."""
    found: list[str] = []

    def note_foreign(kind: str, url: str) -> None:
        if urlsplit(url).netloc != host and not url.startswith(("data:", "blob:")):
            found.append(f"{kind} to {url}")

    page.on("console", lambda line: found.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url}"))
    page.on("request", lambda request: note_foreign("request", request.url))
    page.on("websocket", lambda socket: note_foreign("socket", socket.url))
    return found


async def press_play(page: Any, place: int, name: str, menu: str | None, wanted: str) -> str:
    """Go to a tab, press play, and return the result pane once it holds `wanted`."""
    if place:
        await page.get_by_role("tab", name=name, exact=True).click()
        await page.wait_for_timeout(FROM_TAB_TO_BUTTON_MS)
    await page.locator("button.graphiql-execute-button").click()
    if menu:
        await page.get_by_role("menuitem", name=menu).click()
    deadline = time.monotonic() + 30
    while not re.search(wanted, text := str(await page.evaluate(PANE))):
        assert time.monotonic() < deadline, f"{name} never showed {wanted}: {text[:500]}"
        await page.wait_for_timeout(50)
    return text
