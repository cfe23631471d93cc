"""`kyrochat ingest`: files, folders and zip archives into a bot, from the terminal."""

import asyncio
import sys
import zipfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast
from uuid import UUID

from kyrochat.accounts.viewer import Viewer
from kyrochat.db.models import Bot, Document
from kyrochat.db.states import DocumentStatus
from kyrochat.documents.intake import SameContent
from kyrochat.errors import InvalidInput, KyroError
from kyrochat.local import find_bot, opened
from kyrochat.runtime import Runtime
from kyrochat.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

MAX_TITLE_CHARS = 300
FOLLOWED_AT_ONCE = 200
PIECE_BYTES = 1 << 20
# Files come in one after the other to a disk, and in parallel to a bucket.
ADDED_AT_ONCE = 4
# Longer archives are folders that somebody should unpack and look at.
MAX_ARCHIVE_FILES = 10_000

Echo = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A file to add: its title in citations, and how to open it."""

    title: str
    open: Callable[[], BinaryIO]


class Display(Protocol):
    """Shows how far it is."""

    def line(self, text: str) -> None:
        """Say something that stays."""
        ...

    def count(self, done: int, total: int) -> None:
        """Say how many documents have been read, of how many."""
        ...


async def ingest(settings: Settings, echo: Echo, bot_name: str, paths: Sequence[Path], email: str | None) -> None:
    """Add all files that the paths lead to, and wait until they have been read. What is there already is left alone.

    Raises:
        KyroError: the bot is not there, or not every file could be read; what could be read stays.
    """
    async with opened(settings) as runtime:
        viewer, bot = await find_bot(runtime, bot_name, email)
        sources = list(find_sources(paths))
        with _display(echo) as shown:
            shown.line(f"{bot.name}: {len(sources)} files")
            outcomes = await _Bulk(runtime, viewer, bot, shown).add(sources)
        summary = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
        echo(f"Done: {summary or 'nothing to do'}.")
        if outcomes["refused"] or outcomes["failed"]:
            raise KyroError("Some files were not read; the lines above say why. Run it again after mending them.")


def find_sources(paths: Sequence[Path]) -> Iterator[Source]:
    """Yield the files that the paths lead to, by name: in folders those that are not hidden, in archives all.

    Raises:
        InvalidInput: there is nothing at a path, or an archive cannot be read.
    """
    for path in paths:
        if path.is_dir():
            for file in sorted(each for each in path.rglob("*") if each.is_file() and not _is_hidden(each, path)):
                yield from _source(file, str(Path(path.name) / file.relative_to(path)))
        elif path.is_file():
            yield from _source(path, path.name)
        else:
            raise InvalidInput.at("paths", f"There is nothing at {path}.")


def _source(path: Path, title: str) -> Iterator[Source]:
    # Office documents are archives too, and known by their own names.
    if path.suffix.lower() == ".zip":
        yield from _members(path, title)
    else:
        yield Source(_short(title), lambda: path.open("rb"))


def _members(path: Path, title: str) -> Iterator[Source]:
    def opener(name: str) -> Callable[[], BinaryIO]:
        return lambda: cast("BinaryIO", zipfile.ZipFile(path).open(name))

    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InvalidInput.at("paths", f"{path} is not a zip archive that can be read.") from error
    if len(entries) > MAX_ARCHIVE_FILES:
        raise InvalidInput.at("paths", f"{path} holds more than {MAX_ARCHIVE_FILES:,} files. Unpack it first.")
    for entry in sorted(entries, key=lambda entry: entry.filename):
        if not any(part.startswith((".", "__MACOSX")) for part in Path(entry.filename).parts):
            yield Source(_short(f"{title}/{entry.filename}"), opener(entry.filename))


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _short(title: str) -> str:
    return title if len(title) <= MAX_TITLE_CHARS else "…" + title[-(MAX_TITLE_CHARS - 1) :]


@dataclass(frozen=True, slots=True)
class _Bulk:
    runtime: Runtime
    viewer: Viewer
    bot: Bot
    shown: Display
    # Documents that an earlier run has added.
    known: set[UUID] = field(default_factory=set)

    async def add(self, sources: Sequence[Source]) -> Counter[str]:
        """Add the files, wait until they have been read, and return how many came to which end."""
        outcomes: Counter[str] = Counter()
        added: set[UUID] = set()
        slots = asyncio.Semaphore(ADDED_AT_ONCE)

        async def add_one(source: Source) -> None:
            async with slots:
                document_id = await self._add_one(source)
            if document_id is None:
                outcomes["refused"] += 1
            elif document_id in added:
                outcomes["twice"] += 1
            else:
                added.add(document_id)

        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(add_one(source))
        await self._follow(sorted(added), outcomes, len(sources))
        return outcomes

    async def _add_one(self, source: Source) -> UUID | None:
        """Return the document of the file, new or not; None when it is refused."""
        documents = self.runtime.services.documents
        try:
            document = await documents.add_file(self.viewer, self.bot.id, source.title, source.title, _pieces(source))
        except SameContent as error:
            # It may be from a run that was cut short, and not have been read yet: then we wait for it too.
            if error.document_id is not None:
                self.known.add(error.document_id)
            return error.document_id
        except (KyroError, OSError, zipfile.BadZipFile, RuntimeError) as error:
            # The last one is how zipfile says that a file is encrypted.
            self.shown.line(f"{source.title}: refused. {error.message if isinstance(error, KyroError) else error}")
            return None
        return document.id

    async def _follow(self, waiting: list[UUID], outcomes: Counter[str], total: int) -> None:
        documents = self.runtime.services.documents
        progress = documents.ingestion_progress(self.viewer, self.bot.id, until_idle=False)
        async with aclosing(progress):
            async for state in progress:
                # The oldest come first: those at the end of a long list need not be looked at yet.
                window = waiting[:FOLLOWED_AT_ONCE]
                found = {document.id: document for document in await documents.many(self.viewer, window)}
                for document_id in window:
                    outcome = self._outcome(found.get(document_id))
                    if outcome is not None:
                        outcomes[outcome] += 1
                        waiting.remove(document_id)
                self.shown.count(sum(outcomes.values()), total)
                if waiting and state.is_paused:
                    self.shown.line("The bot's ingestion is paused: what is left waits for `resumeIngestion`.")
                    outcomes["waiting"] += len(waiting)
                    return
                if not waiting:
                    return

    def _outcome(self, document: Document | None) -> str | None:
        if document is None:
            return "deleted meanwhile"
        match document.status:
            case DocumentStatus.READY if document.id in self.known:
                return "there already"
            case DocumentStatus.READY:
                self.shown.line(f"{document.title}: {document.chunk_count} passages")
                return "read"
            case DocumentStatus.FAILED:
                self.shown.line(f"{document.title}: failed. {document.failure}")
                return "failed"
            case _:
                return None


async def _pieces(source: Source) -> AsyncGenerator[bytes, None]:
    with closing(await asyncio.to_thread(source.open)) as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


@contextmanager
def _plain(echo: Echo) -> Iterator[Display]:
    yield _Lines(echo)


@dataclass(frozen=True, slots=True)
class _Lines:
    """For pipes and logs: one line for each thing."""

    echo: Echo

    def line(self, text: str) -> None:
        self.echo(text)

    def count(self, done: int, total: int) -> None:
        """Say nothing: each document has its line."""


@contextmanager
def _bar() -> Iterator[Display]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        yield _Bar(progress, progress.add_task("Reading", total=None))


@dataclass(frozen=True, slots=True)
class _Bar:
    """For people at a terminal: a bar below the lines."""

    progress: "Progress"
    task: "TaskID"

    def line(self, text: str) -> None:
        self.progress.console.print(text, markup=False, highlight=False)

    def count(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total)


def _display(echo: Echo) -> AbstractContextManager[Display]:
    return _bar() if sys.stdout.isatty() else _plain(echo)
