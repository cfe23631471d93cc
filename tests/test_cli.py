"""The command line as people and scripts meet it: each command in a process of its own."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Generator
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.db.embedded.processes import stop_what_is_left
from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, new_bot, until_read
from tests.server_process import environment, kyrochat, serving

HEAVY = ("strawberry", "sqlalchemy", "sqlmodel", "uvicorn", "google", "pinecone", "trafilatura", "alembic", "pydantic")
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def data_dir(first_demo: "tuple[Path, subprocess.CompletedProcess[str]]") -> Path:
    """A data directory with the demo, which the commands below share."""
    return first_demo[0]


@pytest.fixture(scope="module")
def first_demo(
    tmp_path_factory: pytest.TempPathFactory,
) -> "Generator[tuple[Path, subprocess.CompletedProcess[str]], None, None]":
    directory = tmp_path_factory.mktemp("cli") / "data"
    try:
        yield directory, run("demo", "--data-dir", directory)
    finally:
        stop_what_is_left(directory)


def run(*arguments: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    # Away from the checkout, whose .env would be read.
    return subprocess.run(
        kyrochat(*arguments),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment(**settings),
        cwd=Path("/"),
    )


def fails_with_one_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the one line that a failed command says."""
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def test_help_is_quick_since_nothing_heavy_is_imported() -> None:
    program = "import sys, json, kyrochat.__main__; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command(option: str) -> None:
    done = run(option)
    assert done.returncode == 0
    for command in ("serve", "worker", "migrate", "schema", "demo", "ask", "users"):
        assert f"  {command} " in done.stdout


def test_version() -> None:
    assert run("--version").stdout.split()[-1] == version("kyrochat")


def test_an_unknown_command_is_a_usage_error() -> None:
    done = run("srve")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'srve'" in done.stderr


def test_the_demo_answers_with_quotes(first_demo: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    _, first = first_demo
    assert (first.returncode, first.stderr) == (0, "")
    question, answer, quotes = _sections(first.stdout)
    assert question
    assert "[1]" in answer
    quote = quotes[quotes.index("[1] ") :].split("“")[1].split("”")[0].removesuffix(" …")
    sample = Path(__file__).parents[1] / "src" / "kyrochat" / "sample" / "documents"
    assert any(quote in " ".join(page.read_text("utf-8").split()) for page in sample.iterdir())


def test_the_readme_shows_what_the_demo_says(first_demo: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    shown = readme.partition("$ .venv/bin/kyrochat demo\n")[2].partition("\n```")[0]

    (shown_head, _, shown_answer), (head, _, answer) = (
        text.partition("Question: ") for text in (shown, first_demo[1].stdout)
    )
    assert shown_answer == answer.rstrip("\n")
    # The documents are read two at a time, and the password is another one.
    assert set(shown_head.splitlines()[1:]) == set(head.splitlines()[1:])


def test_the_demo_again_finds_everything_there(data_dir: Path) -> None:
    again = run("demo", "--data-dir", data_dir)
    assert again.returncode == 0
    assert "from an earlier demo" in again.stdout
    assert again.stdout.count("there already") >= 5
    assert "[1]" in _sections(again.stdout)[1]


def _sections(output: str) -> tuple[str, str, str]:
    """Return the question, the answer and the quotes of a demo's output."""
    question, _, rest = output.partition("Question: ")[2].partition("\n")
    answer, heading, quotes = rest.partition("\n\n[1] ")
    return question, answer, heading + quotes


async def test_ask_takes_a_bot_by_name_and_by_id(data_dir: Path) -> None:
    async with serving(data_dir) as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user, "Zed's bot")
        document = await user.run(ADD_TEXT, bot=bot_id, title="Clock", text="The tower clock is wound on Mondays.")
        await until_read(user, document["id"])
        # Beside the server, which goes on: the commands share its database.
        for bot in ("Zed's bot", bot_id):
            done = await asyncio.to_thread(run, "ask", bot, "When is the tower clock wound?", "--data-dir", data_dir)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith("The tower clock is wound on Mondays")
            assert "“The tower clock is wound on Mondays.”" in done.stdout


def test_an_unknown_bot_is_one_line(data_dir: Path) -> None:
    line = fails_with_one_line(run("ask", "nobody's", "Why?", "--data-dir", data_dir))
    assert "nobody's" in line


@pytest.mark.parametrize("question", ["", "x" * 20_001])
def test_a_question_that_breaks_a_rule_is_one_line(data_dir: Path, question: str) -> None:
    bot = json.loads((Path(__file__).parents[1] / "src/kyrochat/sample/bot.json").read_text("utf-8"))["name"]
    assert "characters" in fails_with_one_line(run("ask", bot, question, "--data-dir", data_dir))


def test_migrate_says_where_the_database_is(data_dir: Path) -> None:
    done = run("migrate", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (0, "The database is at head.\n")


def test_migrating_to_what_is_no_revision_is_one_line(data_dir: Path) -> None:
    done = run("migrate", "nothing", "--yes", "--data-dir", data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'nothing'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_going_back_to_an_older_schema_asks_first_and_changes_nothing_without_an_answer(data_dir: Path) -> None:
    done = run("migrate", "base", "--data-dir", data_dir)
    assert done.returncode == 1
    assert "removes tables" in done.stdout + done.stderr
    assert run("ask", "nobody", "Anything?", "--data-dir", data_dir).stderr.count("no such bot") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KYROCHAT_PORT", "eighty"),
        ("KYROCHAT_PORT", "70000"),
        ("KYROCHAT_WORKERS", "-1"),
        ("KYROCHAT_REGISTRATION", "maybe"),
        ("KYROCHAT_GRAPHIQL", "yes please"),
        ("KYROCHAT_LOG_FORMAT", "xml"),
        ("KYROCHAT_MAX_UPLOAD_BYTES", "0"),
        ("KYROCHAT_TRUSTED_PROXIES", "proxy.example.com"),
        ("KYROCHAT_INTROSPECTION", "sometimes"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    line = fails_with_one_line(run("serve", "--data-dir", tmp_path / "data", **{name: value}))
    assert name.removeprefix("KYROCHAT_").lower() in line.lower()
    assert not (tmp_path / "data").exists()


def test_a_short_secret_is_one_line_that_does_not_show_it(data_dir: Path) -> None:
    done = run("serve", "--port", "0", "--data-dir", data_dir, KYROCHAT_SECRET_KEY="hunter2")
    assert done.returncode == 1
    assert "KYROCHAT_SECRET_KEY" in done.stderr.splitlines()[-1]
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_an_origin_that_is_none_is_told(data_dir: Path) -> None:
    done = run("serve", "--port", "0", "--data-dir", data_dir, KYROCHAT_ALLOWED_ORIGINS="app.example.com")
    assert done.returncode == 1
    assert "KYROCHAT_ALLOWED_ORIGINS is wrong. Invalid origin 'app.example.com'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["nonsense", "postgresql://user:hunter2@[::1"])
def test_a_database_url_that_is_none_is_one_line(tmp_path: Path, url: str) -> None:
    line = fails_with_one_line(run("migrate", "--data-dir", tmp_path / "data", KYROCHAT_DATABASE_URL=url))
    assert "DATABASE_URL" in line
    assert "hunter2" not in line


def test_a_port_that_is_taken_is_one_line_that_names_the_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        line = fails_with_one_line(run("serve", "--port", port, "--data-dir", tmp_path / "data"))
    assert port in line
    assert "--port" in line


def test_a_data_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("demo", "--data-dir", tmp_path / "file")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    line = fails_with_one_line(run("demo", "--data-dir", tmp_path / "file" / "below"))
    assert "KYROCHAT_DATA_DIR" in line
