"""Use cases of evaluation: asking bots the questions of a set, and what two runs differ in."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.accounts.permissions import Act
from kyrochat.accounts.viewer import Viewer
from kyrochat.db.changes import Changes, evaluation_topic
from kyrochat.db.columns import new_id
from kyrochat.db.engine import Database
from kyrochat.db.keyset import Page, PageRequest
from kyrochat.db.models import Bot, Evaluation, EvaluationQuestion, EvaluationResult
from kyrochat.db.tenancy import Reach
from kyrochat.errors import NotFound, QuotaExceeded
from kyrochat.evaluation import repository
from kyrochat.evaluation.access import bot_to_evaluate, check_all, readable, set_to_ask
from kyrochat.evaluation.comparison import Comparison, compare
from kyrochat.evaluation.question_sets import MAX_NAME_CHARS
from kyrochat.evaluation.stored import scored_all, wanted_json
from kyrochat.jobs.queue import dequeue, enqueue
from kyrochat.rates.limits import EVALUATIONS_PER_USER
from kyrochat.rates.service import NO_LIMITS, Rates
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.settings_rules import check_settings
from kyrochat.rules import Rules

MAX_EVALUATIONS = 200
MAX_UNFINISHED = 5

# The handler is in `running`; `working` brings them together.
EVALUATE = "evaluate_bot"


@dataclass(frozen=True, slots=True)
class EvaluationService:
    """What can be done with evaluations. All of it takes the act EVALUATE."""

    database: Database
    changes: Changes
    rates: Rates = NO_LIMITS

    async def start(
        self, viewer: Viewer, set_id: UUID, bot_id: UUID | None, name: str, settings: SearchSettings
    ) -> Evaluation:
        """Have a bot, by default the set's own, asked all questions of a set, in the background.

        Raises:
            InvalidInput: the name or a setting breaks a rule, or the set is empty.
            NotFound, Forbidden: the viewer has no such set or bot, or may not evaluate it.
            QuotaExceeded: there are too many, or too many at once.
            RateLimited: it is one too many within an hour.
        """
        rules = Rules()
        name = rules.text("name", name, max_chars=MAX_NAME_CHARS)
        check_settings(rules, settings)
        rules.enforce()
        await self.rates.charge(EVALUATIONS_PER_USER, viewer.counted_as)
        async with self.database.begin(viewer.workspaces) as session:
            asked = await set_to_ask(session, viewer, set_id)
            bot = await bot_to_evaluate(session, viewer, bot_id or asked.bot_id)
            if bot.workspace_id != asked.workspace_id:
                raise NotFound("bot")  # in the set's workspace
            count = (await repository.count_questions(session, [asked.id])).get(asked.id, 0)
            if not count:
                rules.add("questionSetId", "The set has no questions. Add some first.")
                rules.enforce()
            await self._check_room(session, bot)
            evaluation = Evaluation(
                id=new_id(),
                workspace_id=bot.workspace_id,
                bot_id=bot.id,
                question_set_id=asked.id,
                name=name or asked.name,
                wanted=wanted_json(settings),
                question_count=count,
            )
            session.add(evaluation)
            await session.flush()
            await session.refresh(evaluation)
            await enqueue(
                session,
                self.changes,
                workspace_id=bot.workspace_id,
                kind=EVALUATE,
                payload={"evaluation_id": str(evaluation.id), "bot_id": str(bot.id)},
                dedupe_key=job_key(evaluation.id),
            )
            return evaluation

    async def delete(self, viewer: Viewer, evaluation_id: UUID) -> None:
        """Delete an evaluation; one that runs ends.

        Raises:
            NotFound, Forbidden: the viewer has no such evaluation, or may not evaluate its bot.
        """
        async with self.database.begin(viewer.workspaces) as session:
            found = await repository.evaluations(session, [evaluation_id], reach=viewer.reach)
            if not found:
                raise NotFound("evaluation")
            viewer.must(Act.EVALUATE, found[0].workspace_id)
            await repository.delete_evaluation(session, evaluation_id)
            await dequeue(session, job_key(evaluation_id))
            await self.changes.announce(session, [evaluation_topic(evaluation_id)])

    async def many(self, viewer: Viewer, ids: Sequence[UUID]) -> Sequence[Evaluation]:
        """Return those of the evaluations that the viewer has, in no order.

        Raises:
            Forbidden: he has one, and may not evaluate its bot.
        """
        viewer.must(Act.EVALUATE)
        async with self.database.begin(viewer.workspaces) as session:
            found = await repository.evaluations(session, ids, reach=viewer.reach)
        check_all(viewer, found)
        return found

    async def of_bot(self, viewer: Viewer, bot_id: UUID, request: PageRequest) -> Page[Evaluation]:
        """Return one page of a bot's evaluations, newest first; none if the viewer has no such bot.

        Raises:
            Forbidden: he may not evaluate it.
        """
        async with self.database.begin(viewer.workspaces) as session:
            reach = await readable(session, viewer, bot_id)
            return await repository.evaluations_of(session, bot_id, request, reach=reach)

    async def count(self, viewer: Viewer, bot_id: UUID) -> int:
        """Return how many evaluations `of_bot` leads through."""
        async with self.database.begin(viewer.workspaces) as session:
            reach = await readable(session, viewer, bot_id)
            return await repository.count_evaluations(session, bot_id, reach=reach)

    async def results_of(
        self, viewer: Viewer, evaluation: Evaluation, request: PageRequest
    ) -> Page[tuple[EvaluationResult, EvaluationQuestion]]:
        """Return one page of an evaluation's results, the last asked first."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.results_of(session, evaluation.id, request)

    async def count_results(self, viewer: Viewer, evaluation: Evaluation) -> int:
        """Return how many results `results_of` leads through."""
        async with self.database.begin(viewer.workspaces) as session:
            return await repository.count_results(session, evaluation.id)

    async def compare(self, viewer: Viewer, before_id: UUID, after_id: UUID) -> Comparison | None:
        """Return what changed from one evaluation to another, over the questions that both have asked so far.

        None when the viewer does not have both.

        Raises:
            Forbidden: he may not evaluate a bot of theirs.
        """
        found = {row.id for row in await self.many(viewer, [before_id, after_id])}
        if not {before_id, after_id} <= found:
            return None
        async with self.database.begin(viewer.workspaces) as session:
            before = await repository.all_results(session, before_id)
            after = await repository.all_results(session, after_id)
        # Thousands of questions take a second or so, and others are waiting.
        return await asyncio.to_thread(lambda: compare(scored_all(before), scored_all(after)))

    async def progress(self, viewer: Viewer, evaluation_id: UUID) -> AsyncGenerator[Evaluation, None]:
        """Yield the evaluation as it is now, then after every step, until it is over or deleted.

        Raises:
            NotFound, Forbidden: the viewer has no such evaluation, or may not evaluate its bot.
        """
        seen = None
        with self.changes.watch(evaluation_topic(evaluation_id)) as bell:
            while True:
                found = await self.many(viewer, [evaluation_id])
                if not found and seen is None:
                    raise NotFound("evaluation")
                if not found:
                    return
                state = (found[0].status, found[0].done_count, found[0].failure)
                if state != seen:
                    seen = state
                    yield found[0]
                if found[0].status not in repository.UNFINISHED:
                    return
                await bell.wait()

    async def _check_room(self, session: AsyncSession, bot: Bot) -> None:
        await repository.lock_limits(session, bot.workspace_id)
        if await repository.count_unfinished(session, bot.workspace_id) >= MAX_UNFINISHED:
            raise QuotaExceeded(f"At most {MAX_UNFINISHED} evaluations of a workspace run or wait. Let one end first.")
        if await repository.count_evaluations(session, bot.id, reach=Reach.of(bot.workspace_id)) >= MAX_EVALUATIONS:
            raise QuotaExceeded(f"A bot has at most {MAX_EVALUATIONS:,} evaluations. Delete some that are not needed.")


def job_key(evaluation_id: UUID) -> str:
    """Return the key of an evaluation's one job."""
    return f"{EVALUATE}:{evaluation_id}"
