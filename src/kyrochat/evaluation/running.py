"""Works on evaluations: questions in batches, each under the lease; another attempt goes on after the last one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.bots import repository as bots
from kyrochat.db.changes import Changes, evaluation_topic
from kyrochat.db.engine import Database
from kyrochat.db.models import Bot, Evaluation, EvaluationQuestion
from kyrochat.db.states import EvaluationStatus
from kyrochat.db.tenancy import Reach
from kyrochat.evaluation import repository
from kyrochat.evaluation.asking import BotAsker
from kyrochat.evaluation.scoring import score, summary
from kyrochat.evaluation.stored import question_of, result_row, scored_all, used_json, wanted_of
from kyrochat.evaluation.types import Scored
from kyrochat.jobs.queue import ClaimedJob, complete, hold
from kyrochat.retrieval.retriever import Retriever

# A second or so, and one event of progress.
BATCH_QUESTIONS = 20
NAMED_UNKNOWN = 20


class Gone(Exception):
    """The evaluation, or its bot, was deleted meanwhile: there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """The handler of evaluation jobs."""

    database: Database
    changes: Changes
    retriever: Retriever

    async def __call__(self, job: ClaimedJob) -> None:
        """Ask the questions that are left, and sum up.

        Raises:
            LeaseLost: another worker has taken over; it goes on where this one stopped.
            ProviderUnavailable: the search failed; the job tries again.
        """
        try:
            evaluation, bot, asker = await self._begin(job)
            while True:
                batch = await self._next_questions(job, evaluation)
                if not batch:
                    break
                results = [(row, score(question_of(row), await asker.ask(question_of(row)))) for row in batch]
                await self._store(job, results)
            await self._finish(job, bot)
        except Gone:
            return

    async def _begin(self, job: ClaimedJob) -> tuple[Evaluation, Bot, BotAsker]:
        async with self.database.begin([job.workspace_id]) as session:
            evaluation = await self._step(session, job)
            bot = await bots.get(session, evaluation.bot_id, reach=Reach.of(job.workspace_id))
            if bot is None:
                raise Gone
            wanted = wanted_of(evaluation.wanted)
            evaluation.used, evaluation.failure = used_json(wanted.resolved(bot)), None
        return evaluation, bot, BotAsker(self.database, self.retriever, bot, wanted)

    async def _step(self, session: AsyncSession, job: ClaimedJob) -> Evaluation:
        """Lock the evaluation for one step, under the job's lease."""
        await hold(session, job)
        evaluation = await repository.lock_evaluation(session, _target(job))
        if evaluation is None:
            raise Gone
        evaluation.status = EvaluationStatus.RUNNING
        session.add(evaluation)
        await self.changes.announce(session, [evaluation_topic(evaluation.id)])
        return evaluation

    async def _next_questions(self, job: ClaimedJob, evaluation: Evaluation) -> Sequence[EvaluationQuestion]:
        async with self.database.begin([job.workspace_id]) as session:
            last = await repository.last_asked(session, evaluation.id)
            return await repository.questions_after(session, evaluation.question_set_id, last, BATCH_QUESTIONS)

    async def _store(self, job: ClaimedJob, results: Sequence[tuple[EvaluationQuestion, Scored]]) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            evaluation = await self._step(session, job)
            # One that was deleted meanwhile, with the account of whoever asked it, takes its result along.
            there = await repository.still_there(session, [row.id for row, _ in results])
            session.add_all(result_row(evaluation, row.id, scored) for row, scored in results if row.id in there)
            evaluation.done_count += len(results)

    async def _finish(self, job: ClaimedJob, bot: Bot) -> None:
        async with self.database.begin([job.workspace_id]) as session:
            await complete(session, job)
            evaluation = await repository.lock_evaluation(session, _target(job))
            if evaluation is None:
                return
            pairs = await repository.all_results(session, evaluation.id)
            expected = sorted({name for _, question in pairs for name in question.documents})
            known = await repository.known_names(session, bot.id, expected)
            evaluation.unknown = [name for name in expected if name not in known][:NAMED_UNKNOWN]
            evaluation.figures = summary(scored_all(pairs))
            evaluation.status, evaluation.done_count = EvaluationStatus.COMPLETED, len(pairs)
            evaluation.question_count = len(pairs)
            evaluation.completed_at = (await session.exec(select(func.statement_timestamp()))).one()
            session.add(evaluation)
            await self.changes.announce(session, [evaluation_topic(evaluation.id)])


async def fail_evaluation(session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str) -> None:
    """Mark the job's evaluation FAILED, in the transaction that ends the job."""
    await _note(session, changes, job, EvaluationStatus.FAILED, reason)


async def retry_evaluation(
    session: AsyncSession, changes: Changes, job: ClaimedJob, reason: str, delay_s: float
) -> None:
    """Say why the job's evaluation waits, in the transaction that queues the job again."""
    del delay_s
    await _note(session, changes, job, EvaluationStatus.QUEUED, f"{reason} It is tried again by itself.")


async def _note(
    session: AsyncSession, changes: Changes, job: ClaimedJob, status: EvaluationStatus, reason: str
) -> None:
    evaluation = await repository.lock_evaluation(session, _target(job))
    if evaluation is None:
        return
    evaluation.status, evaluation.failure = status, reason
    session.add(evaluation)
    await changes.announce(session, [evaluation_topic(evaluation.id)])


def _target(job: ClaimedJob) -> UUID:
    return UUID(job.payload["evaluation_id"])
