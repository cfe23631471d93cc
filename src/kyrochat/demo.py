"""`kyrochat demo` and `kyrochat ask`: the main job in the terminal, by the same use cases as the API's."""

import json
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from importlib.resources import files
from typing import Any
from uuid import UUID

from kyrochat.accounts.registration import EmailTaken
from kyrochat.accounts.viewer import NOWHERE, Viewer
from kyrochat.bots.service import BotNameTaken
from kyrochat.chat.events import AnswerEnded, CitationAdded, Quote, TextDelta
from kyrochat.db.models import Bot
from kyrochat.db.states import DocumentStatus, MessageStatus
from kyrochat.documents.intake import SameContent
from kyrochat.errors import InvalidInput, KyroError
from kyrochat.local import find_bot, opened
from kyrochat.runtime import Runtime
from kyrochat.settings import Settings

DEMO_EMAIL = "demo@kyrochat.example"
SHOWN_QUOTE_CHARS = 240

Echo = Callable[..., Any]


async def run_demo(settings: Settings, echo: Echo) -> None:
    """Load the sample, ask its question, and print the answer with its quotes."""
    sample = files("kyrochat") / "sample"
    about = json.loads((sample / "bot.json").read_text("utf-8"))
    async with opened(settings) as runtime:
        viewer = await _demo_viewer(runtime, echo)
        bot = await _demo_bot(runtime, viewer, about)
        echo(f"Bot: {bot.name}")
        for page in sorted((sample / "documents").iterdir(), key=lambda page: page.name):
            await _add(runtime, viewer, bot.id, page.name, page.read_bytes(), echo)
        echo(f"\nQuestion: {about['demo_question']}\n")
        await _answer(runtime, viewer, bot, about["demo_question"], echo)
        echo(f'\nAsk it something else: kyrochat ask "{bot.name}" "{about["suggested_questions"][1]}"')


async def ask(settings: Settings, echo: Echo, name: str, question: str, email: str | None) -> None:
    """Ask a bot, by name or by the API's id, and print the answer with its quotes.

    Raises:
        NotFound: nobody has such a bot.
    """
    async with opened(settings) as runtime:
        viewer, bot = await find_bot(runtime, name, email)
        await _answer(runtime, viewer, bot, question, echo)


async def _demo_viewer(runtime: Runtime, echo: Echo) -> Viewer:
    password = secrets.token_urlsafe(12)
    try:
        # Whoever registers first at the API becomes admin, a demo before or not.
        await runtime.services.registration.register(DEMO_EMAIL, password, NOWHERE, name="Demo", may_be_admin=False)
    except EmailTaken:
        echo(f"Account: {DEMO_EMAIL}, from an earlier demo")
    else:
        echo(f"Account: {DEMO_EMAIL}, password {password} (shown only now)")
    (viewer,) = await runtime.services.accounts.local_viewers(DEMO_EMAIL)
    return viewer


async def _demo_bot(runtime: Runtime, viewer: Viewer, about: dict[str, Any]) -> Bot:
    try:
        return await runtime.services.bots.create(
            viewer,
            None,
            {
                "name": about["name"],
                "description": about["description"],
                "instructions": about["instructions"],
                "greeting": about["greeting"],
                "suggested_questions": about["suggested_questions"],
            },
        )
    except BotNameTaken:
        found = await runtime.services.bots.find(viewer, about["name"])
        assert found is not None
        return found


async def _add(runtime: Runtime, viewer: Viewer, bot_id: UUID, name: str, content: bytes, echo: Echo) -> None:
    documents = runtime.services.documents

    async def pieces() -> AsyncGenerator[bytes, None]:
        yield content

    try:
        added = await documents.add_file(viewer, bot_id, name, None, pieces())
    except SameContent:
        echo(f"Document: {name}, there already")
        return
    last = added
    async for state in documents.progress(viewer, added.id):
        last = state
    if last.status is not DocumentStatus.READY:
        raise InvalidInput.at("file", f"{name} could not be read: {last.failure}")
    echo(f"Document: {name}, {last.chunk_count} passages")


async def _answer(runtime: Runtime, viewer: Viewer, bot: Bot, question: str, echo: Echo) -> None:
    chat = runtime.services.chat
    conversation = await chat.start(viewer, bot.id, None)
    exchange = await chat.send(viewer, conversation.id, question)
    quotes: list[Quote] = []
    async for entry in chat.events(viewer, exchange.answer.id, 0):
        match entry.event:
            case TextDelta(text):
                echo(text, nl=False)
            case CitationAdded(quote):
                quotes.append(quote)
            case AnswerEnded(MessageStatus.FAILED, reason):
                raise KyroError(reason or "The answer failed.")
            case _:
                pass
    echo("\n")
    _print_quotes(quotes, echo)


def _print_quotes(quotes: Sequence[Quote], echo: Echo) -> None:
    for quote in quotes:
        words = " ".join(quote.quote.split())
        shown = words if len(words) <= SHOWN_QUOTE_CHARS else words[:SHOWN_QUOTE_CHARS] + " …"
        echo(f"[{quote.number}] {quote.document_title}, characters {quote.start} to {quote.end}:\n    “{shown}”")
