"""Writes one answer: passages, then the model's text with its citations, into the log."""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import UUID

from kyrochat.chat import repository
from kyrochat.chat.ending import BROKEN, BUSY, Ending
from kyrochat.chat.events import AnswerEvent, PassagesFound, TextDelta
from kyrochat.chat.follow_ups import FollowUps, follow_ups
from kyrochat.chat.log import AnswerLog, Unstorable
from kyrochat.chat.open_answer import AnswerTaken, OpenAnswer
from kyrochat.chat.output import Output
from kyrochat.chat.tool_use import MAX_CALLS, MAX_STEPS, SEARCH_DOCUMENTS, DocumentSearch
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot
from kyrochat.db.outage import is_outage
from kyrochat.db.states import FinishReason, MessageRole, MessageStatus
from kyrochat.db.storable import storable
from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.retriever import Retriever
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


@dataclass(frozen=True, slots=True)
class Answerer:
    """Writes answers."""

    database: Database
    log: AnswerLog
    retriever: Retriever
    model: AnswerModel
    budget: Budget = field(default_factory=Budget)

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

    async def _write(self, answer: OpenAnswer, assignment: Assignment) -> Ending:
        bot = assignment.bot
        retrieval, turns = await asyncio.gather(
            self.retriever.retrieve(bot, assignment.question, SearchSettings(filter=assignment.filter)),
            self._history(bot, assignment.question_id),
        )
        passages = retrieval.passages
        self.log.append(answer, PassagesFound(passages, (retrieval.trace,)))
        budget = self.budget.halved() if bot.agentic else self.budget  # the other half is for what searches bring
        prompt = budget.fitted(
            Prompt(
                instructions=bot.instructions,
                passages=passages,
                history=turns[-HISTORY_MESSAGES:],
                question=assignment.question,
                model=bot.model,
                temperature=bot.temperature,
                history_trimmed=len(turns) > HISTORY_MESSAGES,
            )
        )
        output = Output.of(prompt)
        try:
            finished, usage = await self._in_steps(answer, assignment, prompt, output)
        except ProviderUnavailable:
            self._append(answer, output.close())  # what was held back is text
            raise
        self._append(answer, output.close())
        self._append(answer, output.objection())
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
        self, answer: OpenAnswer, assignment: Assignment, prompt: Prompt, output: Output
    ) -> tuple[Finished | None, Usage | None]:
        """Let the model write, and search in between where the bot lets it; return its last end, and what all took.

        Raises:
            ProviderUnavailable: the model failed, or searched to the end and wrote nothing.
        """
        bot = assignment.bot
        room = self.budget.prompt_tokens // 2
        search = DocumentSearch(self.retriever, bot, output, room, assignment.filter) if bot.agentic else None
        usage: Usage | None = None
        steps: tuple[Step, ...] = ()
        while True:
            if search is not None:
                may_call = len(steps) < MAX_STEPS and search.has_room
                prompt = replace(prompt, tools=(SEARCH_DOCUMENTS,), steps=steps, may_call=may_call)
            said, finished = await self._streamed(answer, prompt, output)
            if finished is not None:
                usage = usage.plus(finished.usage) if usage else finished.usage
            if finished is None or not finished.calls:
                return finished, usage
            if search is None or not prompt.may_call:
                if output.has_text:
                    return finished, usage  # of a wish that is not granted, what was said before stays
                raise ProviderUnavailable("The model only searched. Try again.", fault=ProviderFault.EMPTY)
            results = []
            for number, call in enumerate(finished.calls):
                result, event = await search.use(call, is_too_many=number >= MAX_CALLS)
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

    async def _history(self, bot: Bot, question_id: UUID) -> tuple[Turn, ...]:
        """Return the turns before the question, oldest first: one more than are used, if there are more."""
        async with self.database.begin([bot.workspace_id]) as session:
            branch = await repository.history(session, question_id, HISTORY_MESSAGES + 2)
        return tuple(
            Turn("user" if role is MessageRole.USER else "assistant", text) for role, text in branch[:-1] if text
        )
