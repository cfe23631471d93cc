"""The Python client on a running server, over good networks and bad ones."""

import asyncio
import itertools
import random
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from graphql import parse, validate

from kyrochat.client import AnswerFailed, AsyncKyroChat, Bot, ConnectionLost, KyroChat, KyroChatError, operations
from kyrochat.graphql.schema import build_schema
from tests.client.cutting_proxy import cutting
from tests.client.told import Losing, Restarting, Told, told
from tests.server_process import Server, serving

NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter. Ask the porter for the lamp."
QUESTION = "When is the tower clock wound?"
RATED = """query ($id: ID!) { node(id: $id) { ... on Message {
  siblings { count } feedback { rating comment } } } }"""
ASKED = """query ($id: ID!) { bot(id: $id) { conversations(first: 9) { nodes {
  messages(first: 9) { nodes { role text } } } } } }"""
INTERRUPTED = """
import signal, sys
from kyrochat.client import KyroChat

# What runs in the background of a shell is born with ears shut to it.
signal.signal(signal.SIGINT, signal.default_int_handler)
with KyroChat(sys.argv[1]) as chat:
    try:
        list(chat.answer("some-id"))
    except KeyboardInterrupt:
        print("interrupted")
print("closed")
"""
RUN_OUT = KyroChatError("The access token has expired.", "UNAUTHENTICATED")
PASSWORD = "correct horse battery"
_people = itertools.count(1)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path_factory.mktemp("client") / "data") as server:
        yield server
        assert server.faults() == []


def account() -> tuple[str, str]:
    return f"client{next(_people)}@example.com", PASSWORD


async def with_note(chat: AsyncKyroChat) -> Bot:
    """Sign up, and return a bot that has read the note."""
    await chat.register(*account())
    bot = await chat.create_bot("Clerk")
    document = await chat.until_ready(await chat.add_text(bot, "Clock", NOTE))
    assert (document.title, document.status, document.progress) == ("Clock", "READY", 1.0)
    return bot


async def questions(chat: AsyncKyroChat, bot: Bot) -> list[str]:
    """Return what was asked in all conversations with a bot."""
    found = await chat.execute(ASKED, {"id": bot.id})
    messages = [message for each in found["conversations"]["nodes"] for message in each["messages"]["nodes"]]
    return [message["text"] for message in messages if message["role"] == "USER"]


def delta(sequence: int, text: str) -> dict[str, Any]:
    return {"__typename": "TextDelta", "sequence": sequence, "text": text}


async def test_from_an_account_to_a_cited_answer(server: Server, tmp_path: Path) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        (tmp_path / "hours.txt").write_text("The reading room opens at nine on weekdays.")
        assert (await chat.until_ready(await chat.add_file(bot, tmp_path / "hours.txt"))).title == "hours.txt"
        passages = await chat.search(bot, "tower clock")

        answer = chat.ask(bot, QUESTION)
        pieces = [piece async for piece in answer]

        assert await chat.bots() == [bot]
        assert passages[0].text == NOTE[passages[0].start : passages[0].end]
        assert "".join(pieces) == answer.text
        assert "Mondays" in answer.text
        assert (answer.status, answer.grounded) == ("COMPLETED", True)
        assert all(citation.quote == NOTE[citation.start : citation.end] for citation in answer.citations)
        assert len(answer.citations) >= 1
        again = await chat.answer(answer.id).whole()
        assert (again.text, again.citations) == (answer.text, answer.citations)
        more = await chat.ask(bot, "Where do the keys hang?", conversation=answer.conversation_id).whole()
        assert more.conversation_id == answer.conversation_id


@pytest.mark.parametrize("seed", range(6))
async def test_a_network_that_breaks_all_the_time_loses_and_doubles_nothing(server: Server, seed: int) -> None:
    chances = random.Random(seed)
    async with AsyncKyroChat(server.url) as steady:
        bot = await with_note(steady)

        def allowance(number: int) -> int:
            # More each time: at last there is enough for one more event.
            return 500 + 100 * number + chances.randrange(400)

        async with (
            cutting(urlsplit(server.url).port or 0, allowance) as bad,
            AsyncKyroChat(bad.url, patience_s=30) as chat,
        ):
            chat._connection._credential = steady._connection._credential
            answer = chat.ask(bot, QUESTION)
            pieces = [piece async for piece in answer]
        stored = await steady.answer(answer.id).whole()
        found = await steady.execute(
            "query ($id: ID!) { node(id: $id) { ... on Conversation { messages(first: 9) { nodes { role text } } } } }",
            {"id": answer.conversation_id},
        )

    assert "".join(pieces) == answer.text == stored.text
    assert answer.citations == stored.citations
    assert bad.cuts >= 2
    # Asked once, however often it was sent.
    assert [message["role"] for message in found["messages"]["nodes"]] == ["ASSISTANT", "USER"]


async def test_an_answer_whose_reader_leaves_goes_on_where_it_was(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        first = chat.ask(bot, QUESTION)
        head = await anext(aiter(first))

        rest = [piece async for piece in chat.answer(first.id, after=first.sequence)]

        assert head + "".join(rest) == (await first.whole()).text


async def test_a_server_that_stays_away_is_told_and_the_answer_can_be_taken_up_again(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        answer = chat.ask(bot, QUESTION)
        await answer._ask()
        async with (
            cutting(urlsplit(server.url).port or 0, lambda number: 1) as dead,
            AsyncKyroChat(dead.url, patience_s=0) as cut_off,
        ):
            with pytest.raises(ConnectionLost, match="cannot be reached"):
                await cut_off.answer(answer.id).whole()

        assert "Mondays" in (await answer.whole()).text
    async with AsyncKyroChat("http://127.0.0.1:9", patience_s=0) as nowhere:
        with pytest.raises(ConnectionLost):
            await nowhere.bots()


@pytest.mark.parametrize("beyond", [0, 1000])
async def test_an_answer_that_has_ended_is_told_at_once_to_who_has_seen_it_all(server: Server, beyond: int) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        first = await chat.ask(bot, QUESTION).whole()

        again = chat.answer(first.id, after=first.sequence + beyond)
        pieces = [piece async for piece in again]

    assert pieces == []
    assert (again.text, again.citations, again.status) == (first.text, first.citations, "COMPLETED")


async def test_a_question_is_asked_once_though_what_came_back_was_lost(server: Server) -> None:
    async with (
        httpx2.AsyncClient(transport=Losing("sendMessage")) as http,
        AsyncKyroChat(server.url, patience_s=0, http=http) as chat,
    ):
        bot = await with_note(chat)
        answer = chat.ask(bot, QUESTION)
        with pytest.raises(ConnectionLost):
            await answer.whole()

        assert "Mondays" in (await answer.whole()).text
        assert await questions(chat, bot) == [QUESTION]


async def test_a_question_is_asked_once_by_who_stops_it_while_it_is_sent(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        answer = chat.ask(bot, QUESTION)

        await asyncio.gather(answer.whole(), answer.stop())

        assert await questions(chat, bot) == [QUESTION]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_without_its_server_is_waited_for(server: Server, status: int) -> None:
    proxy = Restarting(status, "query Bots", "answerEvents", "documentProgress")
    async with httpx2.AsyncClient(transport=proxy, timeout=60) as http, AsyncKyroChat(server.url, http=http) as chat:
        bot = await with_note(chat)

        assert await chat.bots() == [bot]
        assert "Mondays" in (await chat.ask(bot, QUESTION).whole()).text

    assert proxy.fields == []


async def test_a_question_can_be_answered_again_and_its_answers_be_rated(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        first = await chat.ask(bot, QUESTION).whole()
        second = await chat.ask_again(first).whole()
        await chat.rate(first, helped=False)
        await chat.rate(first.id, helped=True, comment="After all.")
        with pytest.raises(KyroChatError):
            await chat.rate("nonsense", helped=True)
        stored = await chat.execute(RATED, {"id": first.id})

    assert (second.text, second.status, second.conversation_id) == (first.text, "COMPLETED", first.conversation_id)
    assert second.id != first.id
    assert stored == {"siblings": {"count": 2}, "feedback": {"rating": "UP", "comment": "After all."}}


@pytest.mark.parametrize("separator", ["\u0085", "\u2028", "\u2029"])
async def test_what_is_a_line_break_to_unicode_alone_breaks_no_event(server: Server, separator: str) -> None:
    async with AsyncKyroChat(server.url) as chat:
        await chat.register(*account())
        bot = await chat.create_bot("Clerk")
        added = await chat.add_text(bot, f"Clock{separator}tower", f"The tower clock{separator}is wound on Mondays.")
        document = await chat.until_ready(added)
        answer = await chat.ask(bot, "When is the tower clock wound?").whole()

    assert document.title == f"Clock{separator}tower"
    assert [citation.document_title for citation in answer.citations] == [document.title]


async def test_an_answer_can_be_stopped(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        answer = chat.ask(bot, QUESTION)

        await answer.stop()

        assert (await answer.whole()).status in ("STOPPED", "COMPLETED")


async def test_what_the_server_refuses_is_an_error_with_its_code(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        for work, code in (
            (chat.bots(), "UNAUTHENTICATED"),
            (chat.login("nobody@example.com", PASSWORD), "InvalidCredentialsProblem"),
            (chat.register("no address", "x"), "InvalidInputProblem"),
            (chat.execute("{ nothing }"), "GRAPHQL_VALIDATION_FAILED"),
        ):
            with pytest.raises(KyroChatError) as refused:
                await work
            assert refused.value.code == code
        await chat.register(*account())
        with pytest.raises(KyroChatError) as missing:
            await chat.ask("no-bot", "?").whole()
        assert missing.value.code == "NotFoundProblem"
        assert not isinstance(missing.value, AnswerFailed)
    async with AsyncKyroChat(server.url + "/livez") as wrong:
        with pytest.raises(KyroChatError, match="no KyroChat"):
            await wrong.bots()


async def test_a_session_is_renewed_by_itself(server: Server, tmp_path: Path) -> None:
    async with AsyncKyroChat(server.url) as chat:
        bot = await with_note(chat)
        for _ in range(2):
            chat._connection._credential = "expired"
            assert await chat.bots() == [bot]
        chat._connection._credential = "expired"
        assert "Mondays" in (await chat.ask(bot, QUESTION).whole()).text
        (tmp_path / "hours.txt").write_text("The reading room opens at nine on weekdays.")
        chat._connection._credential = "expired"
        assert (await chat.add_file(bot, tmp_path / "hours.txt")).title == "hours.txt"


async def test_a_session_outlives_a_renewal_whose_answer_was_lost(server: Server) -> None:
    async with (
        httpx2.AsyncClient(transport=Losing("refreshSession")) as http,
        AsyncKyroChat(server.url, http=http) as chat,
    ):
        await chat.register(*account())
        for _ in range(2):
            chat._connection._credential = "expired"
            assert await chat.bots() == []


async def test_a_session_that_has_ended_is_not_renewed_again_and_again(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        await chat.register(*account())
        assert await chat.execute("mutation { logout }") is True
        with pytest.raises(KyroChatError) as ended:
            await chat.bots()
        assert ended.value.code == "InvalidCredentialsProblem"
        with pytest.raises(KyroChatError) as missing:
            await chat.bots()
        assert missing.value.code == "UNAUTHENTICATED"


async def test_a_stream_goes_on_where_it_was_however_often_its_session_runs_out() -> None:
    end = {"status": "COMPLETED", "text": "It is wound.", "grounded": True, "citations": []}
    streams: list[list[Told]] = [
        [delta(1, "It "), delta(2, "is "), RUN_OUT],
        [delta(3, "wou"), RUN_OUT],
        # As a log that was compacted meanwhile has it.
        [delta(7, "nd."), {"__typename": "AnswerCompleted", "sequence": 8, "message": end}],
    ]
    asked: list[dict[str, Any]] = []

    async with (
        httpx2.AsyncClient(transport=told("answerEvents", streams, asked)) as http,
        AsyncKyroChat("http://server", http=http) as chat,
    ):
        await chat.login(*account())
        answer = await chat.answer("some-id").whole()

    assert [variables["after"] for variables in asked] == [0, 2, 3]
    assert (answer.text, answer.status) == ("It is wound.", "COMPLETED")


async def test_waiting_for_a_document_outlasts_a_server_that_is_busy() -> None:
    state = {"id": "some-id", "title": "Clock", "progress": 0.5, "failure": None}
    streams: list[list[Told]] = [
        [{**state, "status": "PROCESSING"}, KyroChatError("Busy.", "OVERLOADED")],
        [{**state, "status": "READY"}],
    ]
    async with (
        httpx2.AsyncClient(transport=told("documentProgress", streams, [])) as http,
        AsyncKyroChat("http://server", http=http) as chat,
    ):
        assert (await chat.until_ready("some-id")).status == "READY"


async def test_of_operations_at_once_one_renews_the_session_for_all(server: Server) -> None:
    async with AsyncKyroChat(server.url) as chat:
        await chat.register(*account())
        chat._connection._credential = "expired"

        assert await asyncio.gather(*(chat.bots() for _ in range(5))) == [[]] * 5


def _journey(url: str) -> str:
    with KyroChat(url) as chat:
        chat.register(*account())
        bot = chat.create_bot("Clerk")
        assert chat.until_ready(chat.add_text(bot, "Clock", NOTE)).status == "READY"
        assert chat.search(bot, "clock")[0].document_title == "Clock"
        answer = chat.ask(bot, QUESTION)
        pieces = list(answer)
        assert "".join(pieces) == answer.text == chat.answer(answer.id).whole().text
        assert (answer.status, answer.grounded, chat.bots()) == ("COMPLETED", True, [bot])
        assert answer.citations[0].document_title == "Clock"
        again = chat.ask_again(answer).whole()
        assert (again.text, again.conversation_id) == (answer.text, answer.conversation_id)
        chat.rate(again, helped=True)
        for _ in chat.answer(answer.id):
            break  # whoever leaves in between leaves nothing behind
        return answer.text


async def test_programs_without_an_event_loop_have_the_same(server: Server) -> None:
    assert "Mondays" in await asyncio.to_thread(_journey, server.url)


async def test_whoever_presses_ctrl_c_waits_no_longer_and_leaves_nothing_behind() -> None:
    asked = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        while await reader.read(65_536):
            pass  # until the client has gone away
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", INTERRUPTED, url, stdout=PIPE, stderr=PIPE)
        await asyncio.wait_for(asked.wait(), 30)
        process.send_signal(signal.SIGINT)
        said, complaints = await asyncio.wait_for(process.communicate(), 30)

    assert (process.returncode, said.decode().split(), complaints.decode()) == (0, ["interrupted", "closed"], "")


async def test_it_works_where_a_loop_runs_already(server: Server) -> None:
    # As in a notebook: the caller's own loop stands still meanwhile.
    with KyroChat(server.url) as chat:
        chat.register(*account())
        assert chat.bots() == []


def test_the_client_needs_nothing_of_the_server() -> None:
    code = "import sys, kyrochat.client; print([name for name in sys.modules if name.split('.')[0] in sys.argv[1:]])"
    heavy = ["kyrochat", "strawberry", "sqlalchemy", "starlette", "pydantic", "graphql", "asyncpg"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)

    names = [name for name in done.stdout.strip("[]\n").replace("'", "").split(", ") if name != "kyrochat"]
    assert [name for name in names if not name.startswith("kyrochat.client")] == []


def test_its_documents_fit_the_schema() -> None:
    schema = build_schema()._schema
    documents = {name: text for name, text in vars(operations).items() if name.isupper() and not name.startswith("_")}

    assert len(documents) >= 12
    assert {name: validate(schema, parse(text)) for name, text in documents.items()} == {name: [] for name in documents}
