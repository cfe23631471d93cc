"""Queries of evaluation. What belongs to a deleted bot is not found."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from kyrochat.db.keyset import Page, PageRequest, page
from kyrochat.db.models import Bot, Document, Evaluation, EvaluationQuestion, EvaluationResult, QuestionSet
from kyrochat.db.states import EvaluationStatus
from kyrochat.db.tenancy import Reach
from kyrochat.evaluation.needs import plain

UNFINISHED = (EvaluationStatus.QUEUED, EvaluationStatus.RUNNING)


async def names(session: AsyncSession, bot_id: UUID, document_ids: Iterable[UUID]) -> Mapping[UUID, frozenset[str]]:
    """Return what documents of a bot are called, besides their ids: titles and addresses."""
    query = select(Document.id, Document.title, Document.url).where(
        Document.bot_id == bot_id, col(Document.id).in_(list(document_ids)), col(Document.deleted_at).is_(None)
    )
    return {row_id: frozenset(filter(None, (title, url))) for row_id, title, url in await session.exec(query)}


async def known_names(session: AsyncSession, bot_id: UUID, wanted: Collection[str]) -> set[str]:
    """Return those names by which the bot has a document: a title, an address or an id, as `needs` compares them.

    In one pass over the bot's documents: PostgreSQL may know no capitals but those of ASCII, and thousands of names
    are more than a statement takes.
    """
    open_names = {plain(name) for name in wanted}
    found: set[str] = set()
    if open_names:
        query = select(Document.id, Document.title, Document.url).where(
            Document.bot_id == bot_id, col(Document.deleted_at).is_(None)
        )
        async for row_id, title, url in await (await session.connection()).stream(query):
            found |= open_names & {plain(str(row_id)), plain(title), plain(url or "")}
    return {name for name in wanted if plain(name) in found}


async def lock_limits(session: AsyncSession, workspace_id: UUID) -> None:
    """Let one transaction at a time count what a workspace has of evaluation, until its end."""
    await (await session.connection()).execute(_LOCK_LIMITS, {"id": str(workspace_id)})


_LOCK_LIMITS = text("SELECT pg_advisory_xact_lock(hashtextextended('evaluation ' || :id, 0))")


async def question_sets(session: AsyncSession, set_ids: Sequence[UUID], *, reach: Reach) -> Sequence[QuestionSet]:
    """Return those of the sets that are within reach, in no order."""
    query = select(QuestionSet).join(Bot, col(Bot.id) == QuestionSet.bot_id)
    query = query.where(col(QuestionSet.id).in_(set_ids), reach.covers(QuestionSet), col(Bot.deleted_at).is_(None))
    return (await session.exec(query)).all()


async def keep_set(session: AsyncSession, set_id: UUID) -> bool:
    """Keep a set from being deleted until the transaction ends; False when it is gone."""
    query = select(QuestionSet.id).where(QuestionSet.id == set_id).with_for_update(read=True, key_share=True)
    return (await session.exec(query)).one_or_none() is not None


async def sets_of(session: AsyncSession, bot_id: UUID, request: PageRequest, *, reach: Reach) -> Page[QuestionSet]:
    """Return one page of a bot's sets, newest first."""
    query = select(QuestionSet).where(QuestionSet.bot_id == bot_id, reach.covers(QuestionSet))
    return await page(session, query, QuestionSet.id, request)


async def count_sets(session: AsyncSession, bot_id: UUID, *, reach: Reach) -> int:
    """Return how many sets a bot has."""
    query = select(func.count()).select_from(QuestionSet)
    return (await session.exec(query.where(QuestionSet.bot_id == bot_id, reach.covers(QuestionSet)))).one()


async def delete_set(session: AsyncSession, set_id: UUID) -> None:
    """Delete a set with its questions, and the evaluations with it."""
    await session.exec(delete(QuestionSet).where(col(QuestionSet.id) == set_id))


async def questions_of(session: AsyncSession, set_id: UUID, request: PageRequest) -> Page[EvaluationQuestion]:
    """Return one page of a set's questions, the last added first."""
    query = select(EvaluationQuestion).where(EvaluationQuestion.question_set_id == set_id)
    return await page(session, query, EvaluationQuestion.id, request)


async def count_questions(session: AsyncSession, set_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many questions each set has; sets without any are missing."""
    query = select(EvaluationQuestion.question_set_id, func.count())
    query = query.where(col(EvaluationQuestion.question_set_id).in_(set_ids))
    return dict((await session.exec(query.group_by(col(EvaluationQuestion.question_set_id)))).all())


async def questions_after(
    session: AsyncSession, set_id: UUID, after: UUID | None, limit: int
) -> Sequence[EvaluationQuestion]:
    """Return the next questions of a set, in the order in which they were added."""
    query = select(EvaluationQuestion).where(EvaluationQuestion.question_set_id == set_id)
    if after is not None:
        query = query.where(col(EvaluationQuestion.id) > after)
    return (await session.exec(query.order_by(col(EvaluationQuestion.id)).limit(limit))).all()


async def evaluations(session: AsyncSession, ids: Sequence[UUID], *, reach: Reach) -> Sequence[Evaluation]:
    """Return those of the evaluations that are within reach, in no order."""
    query = select(Evaluation).join(Bot, col(Bot.id) == Evaluation.bot_id)
    query = query.where(col(Evaluation.id).in_(ids), reach.covers(Evaluation), col(Bot.deleted_at).is_(None))
    return (await session.exec(query)).all()


async def lock_evaluation(session: AsyncSession, evaluation_id: UUID) -> Evaluation | None:
    """Lock the evaluation for a step of it; None when it, or its bot, was deleted."""
    query = select(Evaluation).join(Bot, col(Bot.id) == Evaluation.bot_id)
    query = query.where(Evaluation.id == evaluation_id, col(Bot.deleted_at).is_(None)).with_for_update(of=Evaluation)
    return (await session.exec(query)).one_or_none()


async def evaluations_of(
    session: AsyncSession, bot_id: UUID, request: PageRequest, *, reach: Reach
) -> Page[Evaluation]:
    """Return one page of a bot's evaluations, newest first."""
    query = select(Evaluation).where(Evaluation.bot_id == bot_id, reach.covers(Evaluation))
    return await page(session, query, Evaluation.id, request)


async def count_evaluations(session: AsyncSession, bot_id: UUID, *, reach: Reach) -> int:
    """Return how many evaluations a bot has."""
    query = select(func.count()).select_from(Evaluation)
    return (await session.exec(query.where(Evaluation.bot_id == bot_id, reach.covers(Evaluation)))).one()


async def count_unfinished(session: AsyncSession, workspace_id: UUID) -> int:
    """Return how many evaluations of a workspace wait or run."""
    query = select(func.count()).select_from(Evaluation)
    query = query.where(Evaluation.workspace_id == workspace_id, col(Evaluation.status).in_(UNFINISHED))
    return (await session.exec(query)).one()


async def delete_evaluation(session: AsyncSession, evaluation_id: UUID) -> None:
    """Delete an evaluation with its results."""
    await session.exec(delete(Evaluation).where(col(Evaluation.id) == evaluation_id))


async def results_of(
    session: AsyncSession, evaluation_id: UUID, request: PageRequest
) -> Page[tuple[EvaluationResult, EvaluationQuestion]]:
    """Return one page of an evaluation's results with their questions, the last asked first."""
    found = await page(
        session,
        select(EvaluationResult).where(EvaluationResult.evaluation_id == evaluation_id),
        EvaluationResult.id,
        request,
    )
    ids = [row.question_id for row in found.rows]
    query = select(EvaluationQuestion).where(col(EvaluationQuestion.id).in_(ids))
    asked = {row.id: row for row in await session.exec(query)}
    pairs = [(row, asked[row.question_id]) for row in found.rows if row.question_id in asked]
    return Page(pairs, found.has_next, found.has_previous)


async def count_results(session: AsyncSession, evaluation_id: UUID) -> int:
    """Return how many results an evaluation has."""
    query = select(func.count()).select_from(EvaluationResult)
    return (await session.exec(query.where(EvaluationResult.evaluation_id == evaluation_id))).one()


async def all_results(
    session: AsyncSession, evaluation_id: UUID
) -> Sequence[tuple[EvaluationResult, EvaluationQuestion]]:
    """Return all results of an evaluation with their questions, in the order in which these were added."""
    query = (
        select(EvaluationResult, EvaluationQuestion)
        .join(EvaluationQuestion, col(EvaluationQuestion.id) == EvaluationResult.question_id)
        .where(EvaluationResult.evaluation_id == evaluation_id)
        .order_by(col(EvaluationResult.question_id))
    )
    return (await session.exec(query)).all()


async def last_asked(session: AsyncSession, evaluation_id: UUID) -> UUID | None:
    """Return the question that was asked last."""
    query = select(EvaluationResult.question_id).where(EvaluationResult.evaluation_id == evaluation_id)
    return (await session.exec(query.order_by(col(EvaluationResult.question_id).desc()).limit(1))).one_or_none()


async def still_there(session: AsyncSession, question_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the questions that are there, and keep them until the transaction ends."""
    query = select(EvaluationQuestion.id).where(col(EvaluationQuestion.id).in_(question_ids))
    return set((await session.exec(query.with_for_update(read=True, key_share=True))).all())


async def sets_in(session: AsyncSession, workspace_id: UUID) -> Sequence[QuestionSet]:
    """Return all question sets of a workspace, the oldest first."""
    query = select(QuestionSet).where(QuestionSet.workspace_id == workspace_id)
    return (await session.exec(query.order_by(col(QuestionSet.id)))).all()


async def evaluations_in(session: AsyncSession, workspace_id: UUID) -> Sequence[Evaluation]:
    """Return all evaluations of a workspace, the oldest first."""
    query = select(Evaluation).where(Evaluation.workspace_id == workspace_id)
    return (await session.exec(query.order_by(col(Evaluation.id)))).all()
