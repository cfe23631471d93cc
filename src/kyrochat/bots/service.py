"""Use cases of bots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from kyrochat.accounts.audit import AuditAct, record
from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.bots import repository
from kyrochat.bots.index_jobs import queue_tending
from kyrochat.db.changes import Changes, answer_topic, ended_topic
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Bot
from kyrochat.db.storable import storable
from kyrochat.db.tenancy import Reach
from kyrochat.errors import Conflict, Forbidden, NotFound
from kyrochat.jobs.queue import PURGE_ATTEMPTS, PURGE_PRIORITY, enqueue
from kyrochat.retrieval.encodings import ENCODERS, Encoders, Encoding
from kyrochat.retrieval.languages import Language
from kyrochat.rules import Rules

MAX_NAME_CHARS = 100
MAX_TEXT_CHARS = 4_000
MAX_INSTRUCTIONS_CHARS = 20_000
MAX_SUGGESTIONS = 10
MAX_SUGGESTION_CHARS = 300
MAX_TOP_K = 50
MAX_MODEL_CHARS = 100

# The handler lives in `documents`, a floor above: `app` brings them together.
PURGE_BOT = "purge_bot"


class BotFields(TypedDict, total=False):
    """What can be set on a bot; absent fields keep their value."""

    name: str
    description: str
    instructions: str
    model: str
    temperature: float
    top_k: int
    min_score: float
    alpha: float | None
    agentic: bool
    greeting: str
    suggested_questions: list[str]
    suggests_follow_ups: bool
    language: Language


class BotNameTaken(Conflict):
    """The workspace has a bot of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"This workspace has a bot named {name!r} already.")
        self.name = name


@dataclass(frozen=True, slots=True)
class BotService:
    """What can be done with bots."""

    database: Database
    changes: Changes
    encoders: Encoders = ENCODERS

    async def create(self, viewer: Viewer, workspace_id: UUID | None, fields: BotFields) -> Bot:
        """Store a new bot and return it.

        Raises:
            InvalidInput: a field breaks a rule; a name is required.
            NotFound: the viewer does not belong to the workspace.
            Forbidden: the viewer may not change things there.
            BotNameTaken: the workspace has a bot of this name, whatever its case.
        """
        fields = _checked({"name": "", **fields})
        workspace_id = viewer.workspace(workspace_id)
        viewer.must(Act.MANAGE_BOTS, workspace_id)
        if viewer.reach.bot_id is not None:
            raise Forbidden("This API key is for one bot, and cannot create another one.")
        bot = Bot(workspace_id=workspace_id, **fields)
        bot.encoding = Encoding(self.encoders.current.version, bot.language).number
        try:
            async with self.database.begin([workspace_id]) as session:
                session.add(bot)
                await session.flush()
                await session.refresh(bot)
                record(session, AuditAct.BOT_CREATED, viewer, workspace_id=workspace_id, of=("Bot", bot.id))
        except IntegrityError as error:
            raise _refusal(error, bot.name) from error
        return bot

    async def update(self, viewer: Viewer, bot_id: UUID, fields: BotFields) -> Bot:
        """Change the given fields of a bot and return it.

        Raises:
            InvalidInput, NotFound, Forbidden, BotNameTaken: as for `create`.
        """
        fields = _checked(fields)
        try:
            async with self.database.begin(viewer.workspaces) as session:
                bot = await repository.get(session, bot_id, reach=viewer.reach, for_update=True)
                if bot is None:
                    raise NotFound("bot")
                viewer.must(Act.MANAGE_BOTS, bot.workspace_id)
                if fields.get("language", bot.language) != bot.language:
                    # Words are stemmed by its rules: until the job is done, the old vectors are searched by the old.
                    await queue_tending(session, self.changes, bot.workspace_id, bot.id)
                for name, value in fields.items():
                    setattr(bot, name, value)
                session.add(bot)
                await session.flush()
                await session.refresh(bot)
                record(
                    session,
                    AuditAct.BOT_CHANGED,
                    viewer,
                    workspace_id=bot.workspace_id,
                    of=("Bot", bot.id),
                    details={"fields": sorted(fields)},
                )
                return bot
        except IntegrityError as error:
            raise _refusal(error, fields.get("name", "")) from error

    async def delete(self, viewer: Viewer, bot_id: UUID) -> UUID:
        """Make a bot, its documents and conversations unreachable at once; a job removes them for good.

        Raises:
            NotFound, Forbidden: as for `create`.
        """
        async with self.database.begin(viewer.workspaces) as session:
            bot = await repository.get(session, bot_id, reach=viewer.reach, for_update=True)
            if bot is None:
                raise NotFound("bot")
            viewer.must(Act.MANAGE_BOTS, bot.workspace_id)
            bot.deleted_at = datetime.now(UTC)
            session.add(bot)
            record(session, AuditAct.BOT_DELETED, viewer, workspace_id=bot.workspace_id, of=("Bot", bot.id))
            # Whoever writes an answer of it hears that, and closes its provider's stream.
            ended = await repository.end_leases(session, bot.id)
            await self.changes.announce(
                session, [topic(each) for each in ended for topic in (answer_topic, ended_topic)]
            )
            await enqueue(
                session,
                self.changes,
                workspace_id=bot.workspace_id,
                kind=PURGE_BOT,
                payload={"bot_id": str(bot.id)},
                dedupe_key=f"{PURGE_BOT}:{bot.id}",
                priority=PURGE_PRIORITY,
                max_attempts=PURGE_ATTEMPTS,
            )
            return bot.id

    async def get(self, viewer: Viewer, bot_id: UUID) -> Bot | None:
        """Return the bot, or None when the viewer has no such bot."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.get(session, bot_id, reach=viewer.reach)

    async def find(self, viewer: Viewer, name_or_id: str) -> Bot | None:
        """Return the viewer's bot of that name, whatever its case, or of that id."""
        try:
            return await self.get(viewer, UUID(name_or_id))
        except ValueError:
            pass
        if storable(name_or_id) != name_or_id:
            return None  # PostgreSQL would not even take the question
        async with self.database.begin(viewer.workspaces) as session:
            found = await repository.by_name(session, name_or_id, reach=viewer.reach)
        return found[0] if found else None

    async def named(self, viewer: Viewer, bot_id: UUID, name_or_id: str) -> Bot:
        """Return the viewer's bot of that id, or else the one that `find` finds.

        Raises:
            NotFound: the viewer has no such bot.
        """
        bot = await self.get(viewer, bot_id) or await self.find(viewer, name_or_id)
        if bot is None:
            raise NotFound("bot")
        return bot

    async def many(self, viewer: Viewer, bot_ids: Sequence[UUID]) -> Sequence[Bot]:
        """Return those of the bots that the viewer has, in no order."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.many(session, bot_ids, reach=viewer.reach)

    async def page(self, viewer: Viewer, workspace_id: UUID | None, request: PageRequest) -> Page[Bot]:
        """Return one page of bots, newest first: of a workspace, or of all of the viewer's.

        Raises:
            NotFound: the viewer does not belong to the workspace.
        """
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.page_of(session, request, reach=_part(viewer, workspace_id))

    async def count(self, viewer: Viewer, workspace_id: UUID | None) -> int:
        """Return how many bots `page` would lead through."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count(session, reach=_part(viewer, workspace_id))


def _part(viewer: Viewer, workspace_id: UUID | None) -> Reach:
    return viewer.reach if workspace_id is None else viewer.reach.within(viewer.workspace(workspace_id))


def _refusal(error: IntegrityError, name: str) -> Exception:
    if "bots_workspace_id_name_key" in str(error.orig):
        return BotNameTaken(name)
    # Deleted since the viewer came in.
    return NotFound("workspace") if "bots_workspace_id_fkey" in str(error.orig) else error


def _checked(fields: BotFields) -> BotFields:
    rules = Rules()
    checked = BotFields(**fields)
    if "name" in fields:
        checked["name"] = rules.text("name", fields["name"], max_chars=MAX_NAME_CHARS, min_chars=1)
    if "description" in fields:
        checked["description"] = rules.text("description", fields["description"], max_chars=MAX_TEXT_CHARS)
    if "instructions" in fields:
        checked["instructions"] = rules.text("instructions", fields["instructions"], max_chars=MAX_INSTRUCTIONS_CHARS)
    if "model" in fields:
        checked["model"] = rules.text("model", fields["model"], max_chars=MAX_MODEL_CHARS)
    if "greeting" in fields:
        checked["greeting"] = rules.text("greeting", fields["greeting"], max_chars=MAX_TEXT_CHARS)
    if "temperature" in fields:
        rules.number("temperature", fields["temperature"], least=0, most=2)
    if "top_k" in fields:
        rules.number("topK", fields["top_k"], least=1, most=MAX_TOP_K)
    if "min_score" in fields:
        rules.number("minScore", fields["min_score"], least=0, most=1)
    if (alpha := fields.get("alpha")) is not None:
        rules.number("alpha", alpha, least=0, most=1)
    if "suggested_questions" in fields:
        checked["suggested_questions"] = rules.texts(
            "suggestedQuestions", fields["suggested_questions"], most=MAX_SUGGESTIONS, max_chars=MAX_SUGGESTION_CHARS
        )
    rules.enforce()
    return checked
