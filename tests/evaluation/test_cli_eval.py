"""`kyrochat eval`, as a user and as a pipeline run it."""

import asyncio
import json
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from kyrochat.evaluation.run_files import read_run
from tests.db.embedded.processes import stop_what_is_left
from tests.graphql_client import register, visiting
from tests.server_process import serving
from tests.test_cli import run

BOT = "Pico's handbook"
QUESTIONS = Path(__file__).parents[2] / "docs" / "examples" / "pico-questions.jsonl"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path, None, None]:
    """A data directory with the demo's bot."""
    directory = tmp_path_factory.mktemp("eval") / "data"
    try:
        assert run("demo", "--data-dir", directory).returncode == 0
        yield directory
    finally:
        stop_what_is_left(directory)


def evaluate(data_dir: Path, *arguments: str | Path, questions: Path = QUESTIONS) -> "subprocess.CompletedProcess[str]":
    return run("eval", BOT, questions, "--data-dir", data_dir, *arguments)


def test_a_run_is_measured_saved_drawn_and_compared_with(data_dir: Path, tmp_path: Path) -> None:
    saved, picture = tmp_path / "run.json", tmp_path / "run.svg"

    first = evaluate(data_dir, "--save", saved, "--plot", picture, "--name", "as it is", "--fail-under", "ndcg@10=0.6")
    again = evaluate(data_dir, "--baseline", saved, "--max-drop", "0")
    worse = evaluate(data_dir, "--baseline", saved, "--top-k", "1", "--max-drop", "recall@10=0.05")

    assert (first.returncode, again.returncode, worse.returncode) == (0, 0, 1), first.stderr + again.stderr
    assert first.stdout.startswith("as it is: 13 questions\n")
    stored = read_run(saved)
    assert stored.name == "as it is"
    assert [scored.question.key for scored in stored.results][:2] == ["descaling", "vinegar"]
    assert json.loads(saved.read_text("utf-8"))["figures"]["abstained"] == 1.0
    assert "<svg" in picture.read_text("utf-8")
    assert "No question's ranking changed its nDCG@10." in again.stdout
    assert "as it is → pico-questions: 12 questions that can be answered" in worse.stdout
    assert worse.stderr.startswith("Error: A limit was not kept.\nrecall@10 went from ")
    assert "Traceback" not in first.stderr + again.stderr + worse.stderr


def test_documents_that_the_bot_does_not_have_are_named(data_dir: Path, tmp_path: Path) -> None:
    questions = tmp_path / "set.csv"
    questions.write_text("question,documents\nWhat does error E4 mean?,4-troubleshooting.md\nWho?,no-such.md\n")

    done = evaluate(data_dir, questions=questions)

    assert done.returncode == 0, done.stderr
    assert "Note: 1 documents that questions expect are not in the bot: 'no-such.md'" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail-under", "accuracy=1"], "There is no figure 'accuracy'"),
        (["--leg", "rerank"], "nothing can be found"),
        (["--baseline", "nowhere.json"], "nowhere.json cannot be read"),
        (["--plot", "picture.pdf"], "ends in .svg or .png"),
        (["--max-drop", "0.1"], "--max-drop needs a --baseline"),
        (["--url", "http://127.0.0.1:9", "--alpha", "0.5"], "Over --url only --top-k can be set"),
        (["--url", "http://127.0.0.1:9"], "The server cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_one_line(data_dir: Path, arguments: list[str], message: str) -> None:
    done = evaluate(data_dir, *arguments)

    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_bot_that_is_not_there_is_told(data_dir: Path) -> None:
    done = run("eval", "No such bot", QUESTIONS, "--data-dir", data_dir)

    assert (done.returncode, done.stderr) == (1, "Error: There is no such bot as 'No such bot'.\n")


CREATE_BOT = 'mutation { createBot(input: {name: "Ponds"}) { ... on Bot { id } } }'
ADD = """mutation ($bot: ID!) { addTextDocument(input: {botId: $bot, title: "Pond", text: "A pond has ducks."}) {
  ... on Document { id } } }"""
FOLLOW = "subscription ($id: ID!) { documentProgress(id: $id) { status } }"
CREATE_KEY = """mutation { createApiKey(input: {name: "evaluation", scopes: [READ]}) {
  ... on ApiKeyCreated { secret } } }"""


async def test_a_server_is_asked_over_its_api(data_dir: Path, tmp_path: Path) -> None:
    saved, questions = tmp_path / "run.json", tmp_path / "set.jsonl"
    questions.write_text(
        '{"question": "What has ducks?", "documents": ["Pond"]}\n{"question": "Who won?", "answerable": false}\n'
        '{"question": "Who has ducks?", "documents": ["Pond"], "filter": {"tags": {"any": ["none has it"]}}}\n'
    )
    async with serving(data_dir) as server, visiting(server.graphql_url) as guest:
        owner = await register(guest)
        bot = await owner.run(CREATE_BOT)
        document = await owner.run(ADD, bot=bot["id"])
        states = [state["status"] async for state in owner.watch(FOLLOW, id=document["id"])]
        key = (await owner.run(CREATE_KEY))["secret"]
        over_there: list[str | Path] = ["--url", server.url, "--save", saved]

        done = await asyncio.to_thread(run, "eval", "Ponds", questions, *over_there, "--key", key)
        by_id = await asyncio.to_thread(run, "eval", bot["id"], questions, *over_there, "--key", key)
        refused = await asyncio.to_thread(run, "eval", "Ponds", questions, *over_there, "--key", "wrong")
        absent = await asyncio.to_thread(run, "eval", "No bot", questions, *over_there, "--key", key)

    assert states[-1] == "READY"
    assert (done.returncode, by_id.returncode) == (0, 0), done.stderr + by_id.stderr
    assert [scored.measures.get("ndcg@10") for scored in read_run(saved).results] == [1.0, None, 0.0]
    # A search does not say whether a leg was left out, so nobody may count on it that none was.
    assert "degraded" not in done.stdout + saved.read_text("utf-8").partition('"run"')[0]
    assert refused.stderr.startswith("Error: The server refuses: ")
    assert absent.stderr == "Error: There is no bot 'No bot' on the server, for this key.\n"
