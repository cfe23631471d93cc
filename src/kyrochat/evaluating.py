"""`kyrochat eval`: questions of a file to a bot, in the terminal and in pipelines."""

import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.progress import track

from kyrochat.accounts.permissions import Act
from kyrochat.errors import KyroError
from kyrochat.evaluation.asking import Asker, BotAsker
from kyrochat.evaluation.comparison import compare
from kyrochat.evaluation.gates import Gates
from kyrochat.evaluation.plot import check_picture, draw
from kyrochat.evaluation.question_files import read_questions
from kyrochat.evaluation.remote import DEFAULT_PASSAGES, RemoteAsker, open_server
from kyrochat.evaluation.run_files import read_run, write_run
from kyrochat.evaluation.scoring import score, summary
from kyrochat.evaluation.types import Question, Run, Scored
from kyrochat.evaluation_tables import print_comparison, print_run
from kyrochat.graphql.ids import split_id
from kyrochat.local import find_bot, opened
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.settings_rules import check_settings
from kyrochat.rules import Rules
from kyrochat.settings import Settings

PLAIN_WIDTH = 120
NAMED_UNKNOWN = NAMED_FAILED = 5
# So many failures in a row are no bad luck: minutes would be spent on the others, and nothing found.
GIVE_UP_AFTER = 5
_SETTINGS = TypeAdapter(SearchSettings)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was asked for."""

    bot: str
    questions: Path
    settings: SearchSettings
    gates: Gates
    email: str | None = None
    url: str | None = None
    key: str = ""
    name: str = ""
    save: Path | None = None
    baseline: Path | None = None
    plot: Path | None = None


async def evaluate(settings: Settings, wanted: Wanted) -> None:
    """Ask all questions, print what came of them, and compare it with an earlier run.

    Raises:
        KyroError: something is not there, a question could not be asked, or a limit was not kept.
    """
    # All that may be wrong is found before minutes are spent on asking.
    rules = Rules()
    check_settings(rules, wanted.settings)
    rules.enforce()
    questions = [_with_plain_ids(question) for question in read_questions(wanted.questions)]
    baseline = read_run(wanted.baseline) if wanted.baseline else None
    if wanted.plot is not None:
        check_picture(wanted.plot)
    is_terminal = sys.stdout.isatty()
    console = Console(width=None if is_terminal else PLAIN_WIDTH)
    async with _asker(settings, wanted) as asker:
        remarks = await _remarks(asker, questions)
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        asked = track(questions, "Asking", transient=True, disable=not is_terminal, console=console)
        results, failed = await _ask_all(asker, asked)
    if failed and not results:
        raise failed[0].error
    remarks += [f"Not asked: {each.question.text!r}: {each.error.message}" for each in failed[:NAMED_FAILED]]
    run = Run(
        wanted.name or wanted.questions.stem,
        _SETTINGS.dump_python(wanted.settings, mode="json", exclude_defaults=True),
        tuple(results),
        started_at,
        tuple(remarks),
    )
    comparison = compare(baseline.results, run.results) if baseline else None
    print_run(console, run)
    if baseline is not None and comparison is not None:
        print_comparison(console, comparison, baseline.name, run.name)
    if wanted.save is not None:
        write_run(wanted.save, run)
    if wanted.plot is not None:
        draw(wanted.plot, run, baseline, comparison)
    failures = wanted.gates.failures(summary(results), comparison)
    told = ["A limit was not kept.", *failures] if failures else []
    if unasked := len(questions) - len(results):
        told.insert(0, f"{unasked:,} of {len(questions):,} questions could not be asked, and are in no figure.")
    if told:
        raise KyroError("\n".join(told))


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that could not be asked."""

    question: Question
    error: KyroError


async def _ask_all(asker: Asker, questions: Iterable[Question]) -> tuple[list[Scored], list[Failed]]:
    """Return what became of questions, and those that failed; after too many of these in a row no more are asked."""
    results: list[Scored] = []
    failed: list[Failed] = []
    in_a_row = 0
    for question in questions:
        if in_a_row == GIVE_UP_AFTER:
            continue
        try:
            results.append(score(question, await asker.ask(question)))
            in_a_row = 0
        except KyroError as error:
            failed.append(Failed(question, error))
            in_a_row += 1
    return results, failed


@asynccontextmanager
async def _asker(settings: Settings, wanted: Wanted) -> AsyncGenerator[Asker, None]:
    if wanted.url is not None:
        only_top_k = replace(SearchSettings(), top_k=wanted.settings.top_k)
        if wanted.settings != only_top_k:
            raise KyroError("Over --url only --top-k can be set; other settings are the bot's own.")
        async with open_server(wanted.url, wanted.key) as server:
            bot_id = await server.find_bot(wanted.bot)
            yield RemoteAsker(server, bot_id, wanted.settings.top_k or DEFAULT_PASSAGES)
        return
    async with opened(settings) as runtime:
        viewer, bot = await find_bot(runtime, wanted.bot, wanted.email)
        viewer.must(Act.SEARCH, bot.workspace_id)
        yield BotAsker(runtime.database, runtime.retriever, bot, wanted.settings)


async def _remarks(asker: Asker, questions: Sequence[Question]) -> list[str]:
    if not isinstance(asker, BotAsker):
        return []
    unknown = await asker.unknown(questions)
    if not unknown:
        return []
    named = ", ".join(repr(name) for name in unknown[:NAMED_UNKNOWN]) + (", …" if unknown[NAMED_UNKNOWN:] else "")
    return [f"{len(unknown):,} documents that questions expect are not in the bot: {named}"]


def _with_plain_ids(question: Question) -> Question:
    """Return the question with the API's ids of documents as the rows' own."""
    return replace(question, documents=tuple(_plain_id(name) for name in question.documents))


def _plain_id(name: str) -> str:
    known: Any = split_id(name)
    return str(known[1]) if known is not None and known[0] == "Document" else name
