"""Evaluations in the background: from a set of questions to figures, through crashes, deletions and limits."""

import asyncio
from dataclasses import dataclass, field, replace
from unittest.mock import ANY

import pytest
from sqlalchemy import text

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.service import PURGE_BOT
from kyrochat.db.keyset import PageRequest
from kyrochat.db.models import Bot, EvaluationQuestion
from kyrochat.db.states import EvaluationStatus, Rating, WorkspaceRole
from kyrochat.errors import Forbidden, InvalidInput, NotFound, ProviderUnavailable, QuotaExceeded
from kyrochat.evaluation import question_sets, repository, service
from kyrochat.evaluation.access import set_to_ask
from kyrochat.evaluation.question_sets import NewQuestion
from kyrochat.evaluation.running import BATCH_QUESTIONS, EvaluationRun
from kyrochat.evaluation.scoring import ABSTAINED, NDCG
from kyrochat.evaluation.types import Question
from kyrochat.jobs.queue import LeaseLost, Queue
from kyrochat.retrieval.retriever import Retriever
from kyrochat.retrieval.search import Retrieval
from kyrochat.retrieval.search_settings import Leg, SearchSettings
from tests.documents.scene import as_guest
from tests.evaluation.scene import QUESTIONS, Lab, add_rated
from tests.factories import make_bot, make_document


@dataclass(frozen=True, slots=True)
class Interrupted(Retriever):
    """Fails at the question after so many."""

    asked: list[str] = field(default_factory=list)
    most: int = 0

    async def retrieve(
        self, bot: Bot, question: str, settings: SearchSettings | None = None, *, fresh: bool = False
    ) -> Retrieval:
        if len(self.asked) == self.most:
            raise ProviderUnavailable("The index is away.")
        self.asked.append(question)
        return await Retriever.retrieve(self, bot, question, settings)


async def test_a_bot_is_asked_all_questions_and_measured(lab: Lab, ada: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, " Ponds and lakes ", QUESTIONS)
    started = await lab.start(ada, asked, SearchSettings(top_k=3))
    queued = await lab.found(ada, started.id)

    await lab.run()

    done = await lab.found(ada, started.id)
    assert (queued.status, queued.done_count, queued.figures) == (EvaluationStatus.QUEUED, 0, {})
    assert (done.status, done.name) == (EvaluationStatus.COMPLETED, "Ponds and lakes")
    assert (done.question_count, done.done_count, done.unknown) == (3, 3, [])
    assert done.completed_at is not None
    assert done.used["top_k"] == 3
    assert (done.figures[NDCG], done.figures[ABSTAINED], done.figures["unanswerable"]) == (
        1.0,
        1.0,
        pytest.approx(1 / 3),
    )
    page = await lab.evaluations.results_of(ada, done, PageRequest(10))
    assert [(question.text, result.measures.get(NDCG)) for result, question in page.rows] == [
        ("Who won the cup?", None),
        ("What has geese?", 1.0),
        ("What has ducks?", 1.0),
    ]
    assert await lab.scene.jobs() == []


async def test_documents_that_the_bot_does_not_have_are_named(lab: Lab, ada: Viewer, bot: Bot) -> None:
    done = await lab.evaluate(ada, bot, [NewQuestion("What has ducks?", ["Pond", "Puddle"])])

    assert done.unknown == ["Puddle"]
    assert done.figures["recall@10"] == 0.5


async def test_names_are_known_in_any_case_and_white_space_and_however_many_they_are(lab: Lab, bot: Bot) -> None:
    url = "https://example.com/Öl"
    document = await make_document(lab.database, bot, "Of everything.", "Правила  ÄRZTE", url=url)
    named = ["правила ärzte", str(document.id).upper(), url.lower(), "pond"]
    unnamed = [f"Puddle {number}" for number in range(40_000)]

    async with lab.database.begin([bot.workspace_id]) as session:
        known = await repository.known_names(session, bot.id, [*unnamed, *named])

    assert known == set(named)


async def test_progress_is_followed_from_queued_to_completed(lab: Lab, ada: Viewer, bot: Bot) -> None:
    questions = [NewQuestion(f"What has ducks, {number}?", ["Pond"]) for number in range(BATCH_QUESTIONS + 1)]
    asked = await lab.sets.create(ada, bot.id, "Set", questions)
    started = await lab.start(ada, asked)
    seen: list[tuple[EvaluationStatus, int]] = []

    async def follow() -> None:
        async for row in lab.evaluations.progress(ada, started.id):
            seen.append((row.status, row.done_count))

    following = asyncio.create_task(follow())
    while not seen:
        await asyncio.sleep(0)
    await lab.run()
    await following

    assert (seen[0], seen[-1]) == ((EvaluationStatus.QUEUED, 0), (EvaluationStatus.COMPLETED, BATCH_QUESTIONS + 1))
    assert seen == sorted(seen, key=lambda state: state[1])


async def test_another_attempt_goes_on_where_the_last_one_stopped(lab: Lab, ada: Viewer, bot: Bot) -> None:
    questions = [NewQuestion(f"What has ducks, {number}?", ["Pond"]) for number in range(BATCH_QUESTIONS + 5)]
    asked = await lab.sets.create(ada, bot.id, "Set", questions)
    started = await lab.start(ada, asked)
    [job] = await lab.claim()
    whole = lab.handler()
    cut = EvaluationRun(whole.database, whole.changes, Interrupted(whole.database, most=BATCH_QUESTIONS + 2))
    with pytest.raises(ProviderUnavailable):
        await cut(job)
    halfway = await lab.found(ada, started.id)
    before = {row.id for row, _ in (await lab.evaluations.results_of(ada, halfway, PageRequest(100))).rows}

    await whole(job)

    done = await lab.found(ada, started.id)
    after = {row.id for row, _ in (await lab.evaluations.results_of(ada, done, PageRequest(100))).rows}
    assert (halfway.status, halfway.done_count, len(before)) == (
        EvaluationStatus.RUNNING,
        BATCH_QUESTIONS,
        BATCH_QUESTIONS,
    )
    assert (done.status, len(after)) == (EvaluationStatus.COMPLETED, BATCH_QUESTIONS + 5)
    assert before < after


async def test_who_has_lost_the_lease_stores_nothing(lab: Lab, ada: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    started = await lab.start(ada, asked)
    [job] = await lab.claim()
    await lab.scene.lapse()

    with pytest.raises(LeaseLost):
        await lab.handler()(job)

    assert (await lab.evaluations.results_of(ada, await lab.found(ada, started.id), PageRequest(10))).rows == []


async def test_a_failure_is_told_and_tried_again_and_given_up(lab: Lab, ada: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    started = await lab.start(ada, asked)
    [job] = await lab.claim()
    queue = Queue(lab.scene.worker_database)

    kind = lab.scene.kinds[service.EVALUATE]
    on_failed, on_retry = kind.on_failed, kind.on_retry
    await queue.fail(job, "The index is away.", 0.0, on_failed, on_retry)
    waiting = await lab.found(ada, started.id)
    [again] = await lab.claim()
    await queue.fail(again, "The index is away.", None, on_failed, on_retry)
    failed = await lab.found(ada, started.id)

    assert (waiting.status, waiting.failure) == (
        EvaluationStatus.QUEUED,
        "The index is away. It is tried again by itself.",
    )
    assert (failed.status, failed.failure) == (EvaluationStatus.FAILED, "The index is away.")


@pytest.mark.parametrize("what", ["evaluation", "set", "bot"])
async def test_what_is_deleted_meanwhile_ends_the_run(lab: Lab, ada: Viewer, bot: Bot, what: str) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    started = await lab.start(ada, asked)
    [job] = await lab.claim()
    match what:
        case "evaluation":
            await lab.evaluations.delete(ada, started.id)
        case "set":
            await lab.sets.delete(ada, asked.id)
        case _:
            await lab.scene.bots.delete(ada, bot.id)

    await lab.handler()(job)
    await lab.scene.end(job)

    assert await lab.evaluations.many(ada, [started.id]) == []
    assert [job for job in await lab.scene.jobs() if job.kind == service.EVALUATE] == []


async def test_a_set_stays_until_whoever_has_found_it_is_through(lab: Lab, ada: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    async with lab.database.begin(ada.workspaces) as session:
        await set_to_ask(session, ada, asked.id)
        deleting = asyncio.create_task(lab.sets.delete(ada, asked.id))
        while not await lab.scene.run("SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert not deleting.done()
        session.add(EvaluationQuestion(workspace_id=bot.workspace_id, question_set_id=asked.id, text="Who?"))
        await session.flush()
    await deleting

    assert await lab.left(ada) == {}
    with pytest.raises(NotFound):
        await lab.start(ada, asked)
    with pytest.raises(NotFound):
        await lab.sets.add_questions(ada, asked.id, QUESTIONS)


async def test_an_evaluation_that_is_deleted_before_its_turn_leaves_no_job(lab: Lab, ada: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    started = await lab.start(ada, asked)

    await lab.evaluations.delete(ada, started.id)

    assert await lab.scene.jobs() == []
    with pytest.raises(NotFound):
        await lab.evaluations.delete(ada, started.id)


async def test_a_purged_bot_takes_its_evaluations_along(lab: Lab, ada: Viewer, bot: Bot) -> None:
    await lab.evaluate(ada, bot)
    assert len(await lab.left(ada)) == 4
    await lab.scene.bots.delete(ada, bot.id)

    for job in await lab.scene.claim(PURGE_BOT):
        await lab.scene.kinds[job.kind].handler(job)

    assert await lab.left(ada) == {}


async def test_two_evaluations_are_compared_question_by_question(lab: Lab, ada: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    before = await lab.start(ada, asked)
    await lab.run()
    await make_document(lab.database, bot, "# More\n\nWhat has ducks? What has ducks?", "More ducks")
    after = await lab.start(ada, asked)
    await lab.run()

    found = await lab.evaluations.compare(ada, before.id, after.id)

    assert found is not None
    assert {change.name: (change.before, change.after) for change in found.figures}["hit@1"] == (1.0, 0.5)
    assert [change.after.question.text for change in found.changed] == ["What has ducks?"]
    assert (len(found.questions), found.unmatched) == (2, 0)
    same = await lab.evaluations.compare(ada, before.id, before.id)
    assert same is not None
    assert same.changed == ()


async def test_another_bot_of_the_workspace_can_be_asked(lab: Lab, ada: Viewer, bob: Viewer, bot: Bot) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)
    empty, foreign = await make_bot(lab.database, ada, "Empty"), await make_bot(lab.database, bob, "Foreign")

    started = await lab.evaluations.start(ada, asked.id, empty.id, "Nothing", SearchSettings())
    await lab.run()

    done = await lab.found(ada, started.id)
    assert (done.bot_id, done.figures["empty"], done.unknown) == (empty.id, 1.0, ["pond"])
    with pytest.raises(NotFound):
        await lab.evaluations.start(ada, asked.id, foreign.id, "", SearchSettings())
    both = replace(ada, workspaces={**ada.workspaces, **bob.workspaces})
    with pytest.raises(NotFound):
        await lab.evaluations.start(both, asked.id, foreign.id, "", SearchSettings())


async def test_viewers_and_strangers_evaluate_nothing(lab: Lab, ada: Viewer, bob: Viewer, bot: Bot) -> None:
    done = await lab.evaluate(ada, bot)
    guest = as_guest(bob, bot.workspace_id, WorkspaceRole.VIEWER)
    editor = as_guest(bob, bot.workspace_id, WorkspaceRole.EDITOR)

    for refused, who in ((Forbidden, guest), (NotFound, bob)):
        with pytest.raises(refused):
            await lab.sets.create(who, bot.id, "Set", QUESTIONS)
        with pytest.raises(refused):
            await lab.sets.create_from_ratings(who, bot.id, "Set")
        with pytest.raises(refused):
            await lab.sets.add_questions(who, done.question_set_id, QUESTIONS)
        with pytest.raises(refused):
            await lab.sets.delete(who, done.question_set_id)
        with pytest.raises(refused):
            await lab.evaluations.start(who, done.question_set_id, None, "", SearchSettings())
        with pytest.raises(refused):
            await lab.evaluations.delete(who, done.id)
        with pytest.raises(refused):
            await anext(lab.evaluations.progress(who, done.id))
    with pytest.raises(Forbidden):
        await lab.evaluations.of_bot(guest, bot.id, PageRequest(10))
    assert (await lab.evaluations.of_bot(bob, bot.id, PageRequest(10))).rows == []
    assert await lab.evaluations.compare(bob, done.id, done.id) is None
    assert (await lab.evaluations.of_bot(editor, bot.id, PageRequest(10))).rows == [done]
    assert await lab.evaluations.count(editor, bot.id) == 1


async def test_what_users_found_well_answered_becomes_a_set(lab: Lab, ada: Viewer, bob: Viewer, bot: Bot) -> None:
    pond = await make_document(lab.database, bot, "Ducks swim.", "Ducks")
    gone = await make_document(lab.database, bot, "Swans fly.", "Swans")
    other = await make_bot(lab.database, ada, "Other")
    for who, asked, documents, rating in (
        (ada, "Who swims?", [pond.id, pond.id], Rating.UP),
        (bob, "who swims?", [pond.id, gone.id], Rating.UP),
        (ada, "Who flies?", [gone.id], Rating.UP),
        (ada, "Who sinks?", [pond.id], Rating.DOWN),
        (ada, "Who asks?", [pond.id], None),
        (ada, "Who knows?", [], Rating.UP),
    ):
        await add_rated(lab.database, bot, who.user_id, asked, documents, rating)
    await add_rated(lab.database, bot, ada.user_id, "Who is public?", [pond.id], is_public=True)
    await add_rated(lab.database, other, ada.user_id, "Who is the other one's?", [pond.id])
    await lab.scene.documents.delete(ada, gone.id)

    made = await lab.sets.create_from_ratings(ada, bot.id, "Rated")

    assert await lab.questions(ada, made) == [Question(ANY, "who swims?", (str(pond.id),))]
    started = await lab.start(ada, made)
    await lab.run()
    done = await lab.found(ada, started.id)
    assert (done.figures[NDCG], done.unknown) == (1.0, [])
    with pytest.raises(InvalidInput, match="No answer of this bot"):
        await lab.sets.create_from_ratings(ada, (await make_bot(lab.database, ada, "New")).id, "Rated")


async def test_words_of_an_account_go_with_it_and_their_results_too(
    lab: Lab, ada: Viewer, bob: Viewer, bot: Bot
) -> None:
    pond = await make_document(lab.database, bot, "Ducks swim.", "Ducks")
    await add_rated(lab.database, bot, bob.user_id, "Who swims?", [pond.id])
    made = await lab.sets.create_from_ratings(ada, bot.id, "Rated")
    await lab.sets.add_questions(ada, made.id, QUESTIONS)
    started = await lab.start(ada, made)
    await lab.run()

    async with lab.database.begin() as session:
        await (await session.connection()).execute(text("DELETE FROM users WHERE id = :id"), {"id": bob.user_id})

    assert [question.text for question in await lab.questions(ada, made)] == [each.text for each in QUESTIONS]
    assert await lab.evaluations.count_results(ada, await lab.found(ada, started.id)) == len(QUESTIONS)


async def test_limits_are_kept(lab: Lab, ada: Viewer, bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, limit in (
        (question_sets, "MAX_SETS", 2),
        (question_sets, "MAX_QUESTIONS", 4),
        (service, "MAX_UNFINISHED", 1),
        (service, "MAX_EVALUATIONS", 2),
    ):
        monkeypatch.setattr(module, name, limit)
    asked = await lab.sets.create(ada, bot.id, "First", QUESTIONS)
    await lab.sets.create(ada, bot.id, "Second", QUESTIONS)

    with pytest.raises(QuotaExceeded, match="at most 2 question sets"):
        await lab.sets.create(ada, bot.id, "Third", QUESTIONS)
    with pytest.raises(QuotaExceeded, match="at most 4 questions; this one has 3"):
        await lab.sets.add_questions(ada, asked.id, QUESTIONS[:2])
    await lab.start(ada, asked)
    with pytest.raises(QuotaExceeded, match="At most 1 evaluations"):
        await lab.start(ada, asked)
    await lab.run()
    await lab.start(ada, asked)
    await lab.run()
    with pytest.raises(QuotaExceeded, match="at most 2 evaluations"):
        await lab.start(ada, asked)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (NewQuestion(" "), "It has 0 characters"),
        (NewQuestion("x" * 4_001), "It has 4,001 characters"),
        (NewQuestion("a\x00b"), "NUL"),
        (NewQuestion("?", ["d"] * 21), "There are 21"),
        (NewQuestion("?", [], [" "]), "It has 0 characters"),
    ],
)
async def test_questions_follow_rules(lab: Lab, ada: Viewer, bot: Bot, question: NewQuestion, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await lab.sets.create(ada, bot.id, "Set", [question])

    assert await lab.left(ada) == {}


@pytest.mark.parametrize(
    "settings",
    [
        SearchSettings(top_k=0),
        SearchSettings(top_k=51),
        SearchSettings(min_score=1.5),
        SearchSettings(alpha=-0.1),
        SearchSettings(legs=()),
        SearchSettings(legs=(Leg.RERANK,)),
    ],
)
async def test_settings_follow_rules(lab: Lab, ada: Viewer, bot: Bot, settings: SearchSettings) -> None:
    asked = await lab.sets.create(ada, bot.id, "Set", QUESTIONS)

    with pytest.raises(InvalidInput):
        await lab.start(ada, asked, settings)
    with pytest.raises(InvalidInput, match="questions: There are 0"):
        await lab.sets.create(ada, bot.id, "Empty", [])
    assert await lab.scene.jobs() == []
