"""Writes one answer: passages, then the model's text with its citations, into the log."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import UUID

from kyrochat.bots import tool_repository
from kyrochat.chat import repository
from kyrochat.chat.ending import BROKEN, BUSY, Ending
from kyrochat.chat.events import AnswerEvent, PassagesFound, TextDelta
from kyrochat.chat.follow_ups import FollowUps, follow_ups
from kyrochat.chat.http_tools import HttpTools
from kyrochat.chat.log import AnswerLog, Unstorable
from kyrochat.chat.open_answer import AnswerTaken, OpenAnswer
from kyrochat.chat.output import Output
from kyrochat.chat.tool_use import MAX_CALLS, MAX_STEPS, DocumentSearch, Room
from kyrochat.chat.toolbox import Toolbox
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, BotTool
from kyrochat.db.outage import is_outage
from kyrochat.db.states import FinishReason, MessageRole, MessageStatus
from kyrochat.db.storable import storable
from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search import Retrieval
from kyrochat.retrieval.search_settings import NO_FILTER, DocumentFilter, SearchSettings
from kyrochat.retrieval.types import Finished, Prompt, Step, TextPiece, Turn, Usage

HISTORY_MESSAGES = 40
# Far more than anybody reads; a model that runs away is cut here.
MAX_ANSWER_CHARS = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be answered."""

    bot: Bot
    question_id: UUID
    question: str
    filter: DocumentFilter = NO_FILTER
    # The search for it, when that has begun already.
    searching: asyncio.Task[Retrieval] | None = None


@dataclass(frozen=True, slots=True)
class Answerer:
    """Writes answers."""

    database: Database
    log: AnswerLog
    retriever: Retriever
    model: AnswerModel
    budget: Budget = field(default_factory=Budget)
    # None: the tools of bots are off on this server.
    http: HttpTools | None = None

    async def write(self, answer: OpenAnswer, assignment: Assignment) -> None:
        """Write the whole answer and end it; failures end it too. Cancelling leaves the end to whoever cancels."""
        try:
            try:
                ending = await self._write(answer, assignment)
            except ProviderUnavailable as error:
                ending = Ending(
                    MessageStatus.FAILED,
                    reason=error.message,
                    retryable=error.retryable,
                    finish_reason=FinishReason(error.fault.value),
                )
            except (AnswerTaken, asyncio.CancelledError):
                raise
            except Unstorable:
                ending = BROKEN  # logged where it was found
            except Exception as error:
                ending = self._failed(answer, error)
            await self.log.finish(answer, ending)
        except AnswerTaken:
            return  # stopped, or swept after a pause: its end is stored already

    async def search(self, bot: Bot, question: str, wanted: DocumentFilter) -> Retrieval:
        """Return the passages that an answer is made from."""
        return await self.retriever.retrieve(bot, question, SearchSettings(filter=wanted))

    async def _write(self, answer: OpenAnswer, assignment: Assignment) -> Ending:
        bot = assignment.bot
        retrieval, (turns, bot_tools) = await asyncio.gather(
            assignment.searching or self.search(bot, assignment.question, assignment.filter),
            self._known(bot, assignment.question_id),
        )
        passages = retrieval.passages
        self.log.append(answer, PassagesFound(passages, (retrieval.trace,)))
        # The other half is for what tools bring.
        budget = self.budget.halved() if bot.agentic or bot_tools else self.budget
        prompt = budget.fitted(
            Prompt(
                instructions=bot.instructions,
                passages=passages,
                history=tuple(turn for turn in turns[-HISTORY_MESSAGES:] if turn.text),
                question=assignment.question,
                model=bot.model,
                temperature=bot.temperature,
                history_trimmed=len(turns) > HISTORY_MESSAGES,
            )
        )
        output = Output.of(prompt)
        try:
            toolbox = self._toolbox(assignment, output, bot_tools)
            finished, usage = await self._in_steps(answer, prompt, output, toolbox)
        except ProviderUnavailable:
            self._append(answer, output.close())  # what was held back is text
            raise
        self._append(answer, output.close())
        self._append(answer, output.objection())
        if not output.has_text:
            raise ProviderUnavailable("The model sent an empty answer. Try again.", fault=ProviderFault.EMPTY)
        citations = output.citations
        if citations.removed:
            log.info("Removed %d unverifiable markers", citations.removed)
        grounded = citations.count > 0 if finished is None or finished.grounded is None else finished.grounded
        cut_short = finished is None or finished.cut_short
        suggested = FollowUps()
        if bot.suggests_follow_ups and grounded and not cut_short:
            suggested = await self._follow_ups(answer, assignment)
            usage = usage and usage.plus(suggested.usage)
        return Ending(
            MessageStatus.COMPLETED,
            grounded,
            usage,
            finish_reason=FinishReason.LENGTH if cut_short else FinishReason.STOP,
            history_trimmed=prompt.history_trimmed,
            removed_citations=citations.removed,
            follow_ups=suggested.questions,
        )

    async def _follow_ups(self, answer: OpenAnswer, assignment: Assignment) -> FollowUps:
        """Return what one could ask next. Whoever watches has the whole text by then."""
        await answer.written()
        said = "".join(entry.event.text for entry in answer.committed if isinstance(entry.event, TextDelta))
        return await follow_ups(self.model, assignment.bot.model, assignment.question, said)

    async def _in_steps(
        self, answer: OpenAnswer, prompt: Prompt, output: Output, toolbox: Toolbox
    ) -> tuple[Finished | None, Usage | None]:
        """Let the model write, and use its tools in between; return its last end, and what all took.

        Raises:
            ProviderUnavailable: the model failed, or used tools to the end and wrote nothing.
        """
        tools = toolbox.tools
        usage: Usage | None = None
        steps: tuple[Step, ...] = ()
        while True:
            if tools:
                may_call = len(steps) < MAX_STEPS and toolbox.has_room
                prompt = replace(prompt, tools=tools, steps=steps, may_call=may_call)
            said, finished = await self._streamed(answer, prompt, output)
            if finished is not None:
                usage = usage.plus(finished.usage) if usage else finished.usage
            if finished is None or not finished.calls:
                return finished, usage
            if not tools or not prompt.may_call:
                if output.has_text:
                    return finished, usage  # of a wish that is not granted, what was said before stays
                raise ProviderUnavailable("The model only used its tools. Try again.", fault=ProviderFault.EMPTY)
            results = []
            for number, call in enumerate(finished.calls):
                result, event = await toolbox.use(call, is_too_many=number >= MAX_CALLS)
                self._append(answer, [event])
                results.append(result)
            steps = (*steps, Step(said, finished.calls, tuple(results), finished.raw))

    async def _streamed(self, answer: OpenAnswer, prompt: Prompt, output: Output) -> tuple[str, Finished | None]:
        """Write the model's text as it comes, and return it and its end; None where it was cut for its length.

        Raises:
            ProviderUnavailable: the model failed.
        """
        said: list[str] = []
        async with aclosing(self.model.stream(prompt)) as stream:
            async for item in stream:
                match item:
                    case TextPiece(text):
                        piece = storable(text)[: MAX_ANSWER_CHARS - output.chars]
                        # What was said before a search is a paragraph of its own.
                        apart = "\n\n" if not said and output.has_text else ""
                        said.append(piece)
                        self._append(answer, output.feed(apart + piece))
                        if output.chars >= MAX_ANSWER_CHARS:
                            return "".join(said), None
                    case Finished():
                        return "".join(said), item
        raise ProviderUnavailable("The model broke off. Try again.", fault=ProviderFault.BROKEN_OFF)

    def _append(self, answer: OpenAnswer, events: Iterable[AnswerEvent]) -> None:
        for event in events:
            self.log.append(answer, event)

    def _failed(self, answer: OpenAnswer, error: Exception) -> Ending:
        where = {"message_id": str(answer.message_id)}
        if is_outage(error):
            log.warning("An answer failed: no database (%s)", type(error).__name__, extra=where)
            return BUSY
        log.error("An answer failed", exc_info=error, extra=where)
        return BROKEN

    def _toolbox(self, assignment: Assignment, output: Output, bot_tools: Sequence[BotTool]) -> Toolbox:
        room = Room(self.budget.prompt_tokens // 2)
        search = None
        if assignment.bot.agentic:
            search = DocumentSearch(self.retriever, assignment.bot, output, room, assignment.filter)
        return Toolbox(output, room, search, self.http, bot_tools)

    async def _known(self, bot: Bot, question_id: UUID) -> tuple[tuple[Turn, ...], Sequence[BotTool]]:
        """Return the turns before the question, oldest first, one more than are used if there are any; and tools."""
        async with self.database.begin([bot.workspace_id]) as session:
            branch = await repository.history(session, question_id, HISTORY_MESSAGES + 2)
            bot_tools = await tool_repository.enabled(session, bot.id) if self.http else ()
        turns = tuple(Turn("user" if role is MessageRole.USER else "assistant", text) for role, text in branch[:-1])
        return turns, bot_tools
