"""Searching over the API: filters, settings, what a search tells of itself, and searches made again."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.graphql.test_api_keys import CREATE
from tests.graphql_client import GraphQLClient, Refused, register
from tests.journey.steps import SEND, new_bot, new_conversation, until_read, watched

pytestmark = pytest.mark.usefixtures("no_faults")

ADD = """mutation ($input: AddTextDocumentInput!) {
  addTextDocument(input: $input) { __typename ... on Document { id title tags metadata }
    ... on InvalidInputProblem { issues { path message } } } }"""
UPDATE = """mutation ($input: UpdateDocumentInput!) {
  updateDocument(input: $input) { __typename ... on Document { id title tags metadata }
    ... on InvalidInputProblem { issues { path message } } ... on Problem { message } } }"""
SEARCH = """query ($bot: ID!, $settings: SearchSettingsInput) {
  search(botId: $bot, query: "Which river has water?", settings: $settings) { score document { title } } }"""
EXPLAIN = """query ($bot: ID!, $settings: SearchSettingsInput) {
  explainSearch(botId: $bot, query: "Which river has water?", settings: $settings) {
    query cached candidateCount indexVersion
    settings { topK minScore alpha legs filter { tags: anyTags metadata } }
    legs { leg status reason candidates }
    candidates(first: 5) { rank fate document { title } lexical { score rank } dense { score } }
    passages { document { title } start end }
  } }"""
REPLAY = """query ($message: ID!, $settings: SearchSettingsInput) {
  replaySearch(messageId: $message, settings: $settings) {
    before { query settings { topK filter { anyTags } } passages { document { title } } }
    after { cached settings { topK filter { anyTags } } passages { document { title } } }
    gained { document { title } } lost { document { title } }
  } }"""
RETRIEVAL = """query ($id: ID!) { node(id: $id) { ... on Message { role retrieval { searches {
  query settings { filter { anyTags } } passages { document { title } } } } } } }"""
UPDATE_BOT = """mutation ($input: UpdateBotInput!) { updateBot(input: $input) {
  ... on Bot { topK minScore alpha } ... on InvalidInputProblem { issues { path message } } } }"""
ASK = """mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  __typename ... on Exchange { question { id } answer { id } } ... on InvalidInputProblem { issues { path } } } }"""
AGAIN = "mutation ($id: ID!) { regenerateAnswer(messageId: $id) { ... on Exchange { answer { id } } } }"
LIST = """query ($id: ID!, $filter: DocumentFilterInput) {
  bot(id: $id) { documents(filter: $filter) { totalCount nodes { title } } } }"""


@dataclass(frozen=True)
class Rivers:
    """Somebody with a bot that has read of three rivers; `ids` are theirs, by title."""

    user: GraphQLClient
    bot: str
    ids: dict[str, str]

    async def titles(self, **settings: Any) -> set[str]:
        found = await self.user.run(SEARCH, bot=self.bot, settings=settings)
        return {passage["document"]["title"] for passage in found}


@pytest.fixture(scope="module")
async def rivers(visitor: GraphQLClient) -> Rivers:
    user = await register(visitor)
    bot, ids = await new_bot(user), {}
    for title, tags, metadata in (
        ("Rhine", ["big", "swiss"], {"km": 1233, "spans": ["CH", "NL"]}),
        ("Elbe", ["big"], {"km": 1094}),
        ("Aare", ["swiss"], {"km": 291.5, "dammed": True}),
    ):
        text = f"The {title} is a river, and it has water."
        added = await user.run(
            ADD, input={"botId": bot, "title": title, "text": text, "tags": tags, "metadata": metadata}
        )
        assert (added["tags"], added["metadata"]) == (tags, metadata)
        ids[title] = added["id"]
        await until_read(user, added["id"])
    return Rivers(user, bot, ids)


async def test_searches_find_what_their_filter_lets_through(rivers: Rivers) -> None:
    assert await rivers.titles() == {"Rhine", "Elbe", "Aare"}
    assert await rivers.titles(filter={"tags": {"any": ["swiss"]}}) == {"Rhine", "Aare"}
    assert await rivers.titles(filter={"tags": {"all": ["swiss", "big"]}}) == {"Rhine"}
    assert await rivers.titles(filter={"documentIds": [rivers.ids["Elbe"], "garbage"]}) == {"Elbe"}
    assert await rivers.titles(filter={"sources": ["UPLOAD", "WEB"]}) == set()
    assert await rivers.titles(filter={"metadata": [{"key": "km", "gte": 1000}]}) == {"Rhine", "Elbe"}
    assert await rivers.titles(filter={"metadata": [{"key": "spans", "in": ["NL", "DE"]}]}) == {"Rhine"}
    assert await rivers.titles(filter={"metadata": [{"key": "dammed", "equals": True}]}) == {"Aare"}
    assert await rivers.titles(filter={"metadata": [{"key": "dammed", "exists": False}]}) == {"Rhine", "Elbe"}


async def test_lists_of_documents_take_the_same_filters(rivers: Rivers) -> None:
    listed = await rivers.user.run(LIST, id=rivers.bot, filter={"tags": {"any": ["big"]}})

    assert listed["documents"]["totalCount"] == 2
    assert [node["title"] for node in listed["documents"]["nodes"]] == ["Elbe", "Rhine"]


@pytest.mark.parametrize(
    "settings",
    [
        {"topK": 51},
        {"topK": -1},
        {"minScore": 1.5},
        {"alpha": -0.1},
        {"legs": []},
        {"legs": ["RERANK"]},
        {"filter": {"metadata": [{"key": "km"}]}},
        {"filter": {"metadata": [{"key": "km", "gte": True}]}},
        {"filter": {"metadata": [{"key": "km", "equals": {"a": 1}}]}},
        {"filter": {"metadata": [{"key": "km", "in": [[1]]}]}},
        {"filter": {"tags": {"any": ["x"] * 21}}},
        {"filter": {"tags": {"any": ["\x00"]}}},
    ],
    ids=str,
)
async def test_settings_that_make_no_sense_are_refused(rivers: Rivers, settings: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        await rivers.user.run(SEARCH, bot=rivers.bot, settings=settings)

    assert refused.value.codes == ["BAD_USER_INPUT"]


async def test_a_search_tells_how_it_was_made(rivers: Rivers) -> None:
    settings = {"topK": 1, "alpha": 0.7, "filter": {"tags": {"any": ["big"]}, "metadata": [{"key": "km", "gte": 5}]}}

    told = await rivers.user.run(EXPLAIN, bot=rivers.bot, settings=settings)

    assert told["settings"] == {
        "topK": 1,
        "minScore": 0,
        "alpha": 0.7,
        "legs": ["LEXICAL", "DENSE", "RERANK"],
        "filter": {"tags": ["big"], "metadata": [{"key": "km", "gte": 5}]},
    }
    assert [(leg["leg"], leg["status"], leg["candidates"]) for leg in told["legs"]] == [
        ("LEXICAL", "OK", 2),
        ("DENSE", "OFF", 0),
    ]
    assert told["legs"][1]["reason"] == "This server makes no embeddings."
    assert [each["fate"] for each in told["candidates"]] == ["KEPT", "BEYOND_TOP_K"]
    assert [each["document"] for each in told["passages"]] == [told["candidates"][0]["document"]]
    assert (told["cached"], told["candidateCount"]) == (False, 2)
    assert told["indexVersion"] >= 3


async def test_labels_can_be_changed_and_what_breaks_a_rule_is_told(rivers: Rivers) -> None:
    elbe = rivers.ids["Elbe"]

    changed = await rivers.user.run(UPDATE, input={"id": elbe, "tags": ["saxon"], "metadata": {"km": 1}})
    found = await rivers.titles(filter={"tags": {"any": ["saxon"]}})
    wrong = await rivers.user.run(UPDATE, input={"id": elbe, "metadata": ["no", "object"], "tags": [""]})
    gone = await rivers.user.run(UPDATE, input={"id": rivers.bot, "tags": []})
    await rivers.user.run(UPDATE, input={"id": elbe, "tags": ["big"], "metadata": {"km": 1094}})

    assert changed == {
        "__typename": "Document",
        "id": elbe,
        "title": "Elbe",
        "tags": ["saxon"],
        "metadata": {"km": 1},
    }
    assert found == {"Elbe"}
    assert {tuple(issue["path"]) for issue in wrong["issues"]} == {("input", "tags"), ("input", "metadata")}
    assert gone["__typename"] == "NotFoundProblem"


async def test_answers_keep_to_the_filter_of_their_question_and_can_be_replayed(rivers: Rivers) -> None:
    conversation = await new_conversation(rivers.user, rivers.bot)
    asked = {
        "conversationId": conversation,
        "text": "Which river has water?",
        "filter": {"tags": {"any": ["big"]}},
    }
    exchange = await rivers.user.run(ASK, input=asked)
    await watched(rivers.user, exchange["answer"]["id"])
    again = await rivers.user.run(AGAIN, id=exchange["answer"]["id"])
    await watched(rivers.user, again["answer"]["id"])

    for answer in (exchange["answer"]["id"], again["answer"]["id"]):
        told = await rivers.user.run(RETRIEVAL, id=answer)
        [search] = told["retrieval"]["searches"]
        assert search["settings"] == {"filter": {"anyTags": ["big"]}}
        assert {each["document"]["title"] for each in search["passages"]} == {"Rhine", "Elbe"}
    question = await rivers.user.run(RETRIEVAL, id=exchange["question"]["id"])
    assert question == {"role": "USER", "retrieval": None}

    [as_it_was] = await rivers.user.run(REPLAY, message=exchange["answer"]["id"])
    wider = {"topK": 3, "filter": {"tags": {"any": ["big", "swiss"]}}}
    [replayed] = await rivers.user.run(REPLAY, message=exchange["answer"]["id"], settings=wider)

    assert (as_it_was["gained"], as_it_was["lost"], as_it_was["after"]["cached"]) == ([], [], False)
    assert as_it_was["after"]["settings"] == as_it_was["before"]["settings"]
    assert replayed["gained"] == [{"document": {"title": "Aare"}}]
    assert replayed["lost"] == []
    assert replayed["after"]["settings"] == {"topK": 3, "filter": {"anyTags": ["big", "swiss"]}}


async def test_a_question_with_a_filter_that_is_too_large_is_not_stored(rivers: Rivers) -> None:
    conversation = await new_conversation(rivers.user, rivers.bot)
    wanted = {"conversationId": conversation, "text": "Hi?", "filter": {"tags": {"any": ["x"] * 21}}}

    refused = await rivers.user.run(ASK, input=wanted)

    assert refused["__typename"] == "InvalidInputProblem"


async def test_a_bots_own_settings_hold_where_a_search_says_nothing(rivers: Rivers) -> None:
    user = rivers.user
    set_to = await user.run(UPDATE_BOT, input={"id": rivers.bot, "minScore": 0.99, "alpha": 0.25})
    nothing = await rivers.titles()
    everything = await rivers.titles(minScore=0)
    wrong = await user.run(UPDATE_BOT, input={"id": rivers.bot, "minScore": 2, "alpha": -1})
    await user.run(UPDATE_BOT, input={"id": rivers.bot, "minScore": 0})

    assert (set_to["minScore"], set_to["alpha"]) == (0.99, 0.25)
    assert (nothing, everything) == (set(), {"Rhine", "Elbe", "Aare"})
    assert [issue["path"] for issue in wrong["issues"]] == [["input", "minScore"], ["input", "alpha"]]


async def test_how_an_answer_was_found_is_not_for_keys_that_only_chat(rivers: Rivers, visitor: GraphQLClient) -> None:
    conversation = await new_conversation(rivers.user, rivers.bot)
    exchange = await rivers.user.run(SEND, conversation=conversation, text="Which river has water?")
    await watched(rivers.user, exchange["answer"]["id"])
    made = await rivers.user.run(CREATE, input={"name": "Test", "scopes": ["CHAT"]})
    chatting = replace(visitor, token=made["secret"])

    for query, values in (
        (RETRIEVAL, {"id": exchange["answer"]["id"]}),
        (REPLAY, {"message": exchange["answer"]["id"]}),
        (EXPLAIN, {"bot": rivers.bot}),
    ):
        with pytest.raises(Refused) as refused:
            await chatting.run(query, **values)
        assert refused.value.codes == ["FORBIDDEN"]
