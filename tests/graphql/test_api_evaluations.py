"""Evaluation over the wire: a set of questions, two runs, what they differ in, and what is refused."""

import asyncio
import io
import json
import zipfile
from typing import Any

import pytest

from tests.graphql.test_api_workspaces import CREATE_BOT
from tests.graphql_client import GraphQLClient, register
from tests.journey.steps import ADD_TEXT, DEADLINE_S, SEND, new_conversation, until_read, watched

pytestmark = pytest.mark.usefixtures("no_faults")

CREATE_SET = """mutation ($bot: ID!, $questions: [QuestionInput!]!) {
  createQuestionSet(input: {botId: $bot, name: "Waters", questions: $questions}) { __typename
    ... on QuestionSet { id name questionCount bot { id } questions { totalCount nodes { text documents answerable } } }
    ... on InvalidInputProblem { issues { path message } } ... on Problem { message } } }"""
FROM_RATINGS = """mutation ($bot: ID!) { createQuestionSetFromRatings(input: {botId: $bot, name: "Rated"}) { __typename
    ... on QuestionSet { id questions { nodes { text documents quotes } } } ... on Problem { message } } }"""
START = """mutation ($set: ID!, $settings: EvaluationSettingsInput) {
  startEvaluation(input: {questionSetId: $set, settings: $settings}) { __typename
    ... on Evaluation { id status questionCount figures { ndcg10 } }
    ... on InvalidInputProblem { issues { path message } } ... on Problem { message } } }"""
FOLLOW = "subscription ($id: ID!) { evaluationProgress(id: $id) { status doneCount questionCount } }"
READ = """query ($id: ID!) { evaluation(id: $id) { name status settings { topK legs } unknownDocuments
  figures { ndcg10 hit1 abstained unanswerable latencyP95Ms } questionSet { name }
  results(first: 10) { totalCount nodes { question { text } missed figures { ndcg10 }
    ranking { rank met document { title } } } } } }"""
COMPARE = """query ($before: ID!, $after: ID!) { compareEvaluations(earlierId: $before, laterId: $after) {
  questionCount unmatchedCount changedCount figures { name before after difference pValue isSignificant isWorse }
  changes(first: 5) { difference question { text } before { missed } after { missed } } } }"""
DELETE = "mutation ($id: ID!) { deleteQuestionSet(id: $id) { __typename } }"
NODE = "query ($id: ID!) { node(id: $id) { __typename } }"
RATE = "mutation ($id: ID!) { rateAnswer(input: {messageId: $id, rating: UP}) { __typename } }"
EXPORT = "mutation { exportAccount { ... on AccountExport { url } } }"
TEXTS = {
    "Pond": "A pond has ducks.",
    "Lake": "A lake has geese and ducks.",
    "River": "A river has swans, and no ducks.",
}


async def waters(user: GraphQLClient) -> tuple[str, dict[str, str]]:
    """Return the id of a bot that knows three waters, and the ids of their documents by title."""
    bot = await user.run(CREATE_BOT, name="Waters", **{"in": None})
    documents = {
        title: (await user.run(ADD_TEXT, bot=bot["id"], title=title, text=text))["id"] for title, text in TEXTS.items()
    }
    for document in documents.values():
        await until_read(user, document)
    return bot["id"], documents


async def evaluated(user: GraphQLClient, set_id: str, **settings: Any) -> str:
    """Start an evaluation, follow it to its end, and return its id."""
    started = await user.run(START, set=set_id, settings=settings or None)
    assert (started["status"], started["figures"]) == ("QUEUED", None)
    async with asyncio.timeout(DEADLINE_S):
        states = [state async for state in user.watch(FOLLOW, id=started["id"])]
    assert states[-1] == {"status": "COMPLETED", "doneCount": 3, "questionCount": 3}
    return str(started["id"])


async def test_a_bot_is_evaluated_twice_and_compared(visitor: GraphQLClient) -> None:
    ada = await register(visitor)
    bot, documents = await waters(ada)
    questions = [
        {"text": "Which water has ducks?", "documents": [documents["Pond"], "lake", "River"]},
        {"text": "Who has swans?", "quotes": ["a river has swans"]},
        {"text": "Who won the cup?"},
    ]
    made = await ada.run(CREATE_SET, bot=bot, questions=questions)

    wide = await evaluated(ada, made["id"])
    narrow = await evaluated(ada, made["id"], topK=1)
    found, compared = await ada.run(READ, id=narrow), await ada.run(COMPARE, before=wide, after=narrow)

    assert (made["name"], made["questionCount"], made["bot"]) == ("Waters", 3, {"id": bot})
    # The last one added comes first. Ids are shown as they were given.
    assert [each["answerable"] for each in made["questions"]["nodes"]] == [False, True, True]
    assert made["questions"]["nodes"][2]["documents"] == [documents["Pond"], "lake", "River"]
    assert (found["name"], found["settings"]["topK"], found["unknownDocuments"]) == ("Waters", 1, [])
    assert (found["figures"]["hit1"], found["figures"]["abstained"]) == (1.0, 1.0)
    assert found["figures"]["unanswerable"] == pytest.approx(1 / 3)
    first = found["results"]["nodes"][-1]
    assert found["results"]["totalCount"] == 3
    assert len(first["missed"]) == 2
    assert [place["rank"] for place in first["ranking"]] == [1]
    figures = {figure["name"]: figure for figure in compared["figures"]}
    assert figures["recall@10"]["before"] == 1.0
    assert figures["recall@10"]["isWorse"] is True
    # One question that changed may be chance.
    assert (figures["recall@10"]["pValue"], figures["recall@10"]["isSignificant"]) == (1.0, False)
    assert (compared["questionCount"], compared["unmatchedCount"], compared["changedCount"]) == (2, 0, 1)
    assert compared["changes"][0]["question"]["text"] == "Which water has ducks?"
    assert compared["changes"][0]["before"]["missed"] == []


async def test_ratings_become_questions_that_are_exported_and_deleted(visitor: GraphQLClient) -> None:
    ada, bob = await register(visitor), await register(visitor)
    bot, documents = await waters(ada)
    conversation = await new_conversation(ada, bot)
    exchange = await ada.run(SEND, conversation=conversation, text="Who has swans?")
    await watched(ada, exchange["answer"]["id"])
    await ada.run(RATE, id=exchange["answer"]["id"])

    made = await ada.run(FROM_RATINGS, bot=bot)
    foreign = await bob.run(FROM_RATINGS, bot=bot)
    link = await ada.run(EXPORT)
    archive = zipfile.ZipFile(io.BytesIO((await ada.http.get(link["url"])).content))

    [question] = made["questions"]["nodes"]
    assert (question["text"], question["quotes"]) == ("Who has swans?", [])
    assert documents["River"] in question["documents"]
    assert foreign == {"__typename": "NotFoundProblem", "message": "There is no such bot."}
    [name] = [name for name in archive.namelist() if "/question-sets/" in name]
    stored = json.loads(archive.read(name))
    assert (stored["questionSet"]["name"], [each["text"] for each in stored["questions"]]) == (
        "Rated",
        ["Who has swans?"],
    )
    assert await bob.run(NODE, id=made["id"]) is None
    assert await ada.run(DELETE, id=made["id"]) == {"__typename": "DeletedQuestionSet"}
    assert await ada.run(NODE, id=made["id"]) is None


async def test_bad_input_is_told(visitor: GraphQLClient) -> None:
    ada = await register(visitor)
    bot = (await ada.run(CREATE_BOT, name="Empty", **{"in": None}))["id"]
    made = await ada.run(CREATE_SET, bot=bot, questions=[{"text": "Who?"}])

    blank = await ada.run(CREATE_SET, bot=bot, questions=[{"text": " "}])
    wrong = await ada.run(START, set=made["id"], settings={"topK": 99, "alpha": 2, "legs": []})
    absent = await ada.run(START, set=bot)
    unrated = await ada.run(FROM_RATINGS, bot=bot)

    assert blank["issues"][0]["path"] == ["input", "questions"]
    assert {issue["path"][-1] for issue in wrong["issues"]} == {"topK", "alpha", "legs"}
    assert absent == {"__typename": "NotFoundProblem", "message": "There is no such question set."}
    assert unrated["__typename"] == "InvalidInputProblem"
    assert await ada.run(COMPARE, before=made["id"], after=made["id"]) is None
