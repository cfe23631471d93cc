"""What a user does on the way from an account to cited answers, and what a watcher has then seen."""

import asyncio
import json
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.graphql_client import GraphQLClient

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((HERE / "questions.json").read_text("utf-8"))
DOCUMENTS = sorted((HERE / "documents").iterdir())
DEADLINE_S = 30

CREATE_BOT = """mutation ($name: String!) {
  createBot(input: {name: $name}) { __typename ... on Bot { id name } ... on Problem { message } }
}"""
UPLOAD = """mutation ($bot: ID!, $file: Upload!) {
  uploadDocument(input: {botId: $bot, file: $file}) {
    __typename ... on Document { id status } ... on Problem { message }
  }
}"""
ADD_TEXT = """mutation ($bot: ID!, $title: String!, $text: String!) {
  addTextDocument(input: {botId: $bot, title: $title, text: $text}) {
    __typename ... on Document { id status } ... on Problem { message }
  }
}"""
ADD_WEB = """mutation ($bot: ID!, $url: String!, $every: Int) {
  addWebDocument(input: {botId: $bot, url: $url, refreshEverySeconds: $every}) {
    __typename ... on Document { id status } ... on Problem { message }
  }
}"""
REFRESH = """mutation ($id: ID!) {
  refreshDocument(id: $id) { __typename ... on Document { id } ... on Problem { message } }
}"""
CRAWL = """mutation ($bot: ID!, $url: String!, $pages: Int) {
  crawlSite(input: {botId: $bot, url: $url, maxPages: $pages}) {
    __typename ... on Crawl { id status } ... on Problem { message }
  }
}"""
CRAWL_PROGRESS = """subscription ($id: ID!) {
  crawlProgress(id: $id) { id status failure pagesWaiting pagesAdded pagesSkipped pagesFailed }
}"""
PROGRESS = "subscription ($id: ID!) { documentProgress(id: $id) { id title status progress failure chunkCount } }"
START = """mutation ($bot: ID!) {
  startConversation(input: {botId: $bot}) { __typename ... on Conversation { id } ... on Problem { message } }
}"""
SEND = """mutation ($conversation: ID!, $text: String!, $key: String) {
  sendMessage(input: {conversationId: $conversation, text: $text, idempotencyKey: $key}) {
    __typename ... on Exchange { question { id text } answer { id status } } ... on Problem { message }
  }
}"""
STOP = """mutation ($id: ID!) {
  stopAnswer(messageId: $id) { __typename ... on Message { id status text } ... on Problem { message } }
}"""
EVENTS = """subscription ($id: ID!, $after: Int) {
  answerEvents(messageId: $id, after: $after) {
    __typename
    ... on PassagesFound { sequence passages { start end text document { id } } }
    ... on TextDelta { sequence text }
    ... on CitationAdded { sequence citation { ...cited } }
    ... on AnswerCompleted { sequence message { ...stored } }
    ... on AnswerStopped { sequence message { ...stored } }
    ... on AnswerInterrupted { sequence message { ...stored } }
    ... on AnswerFailed { sequence reason retryable message { ...stored } }
  }
}
fragment cited on Citation { number documentTitle documentVersion start end quote document { id } }
fragment stored on Message { id status text grounded citations { ...cited } }"""
MESSAGE = """query ($id: ID!) {
  node(id: $id) { ... on Message { id status text grounded citations {
    number documentTitle documentVersion start end quote document { id }
  } } }
}"""
EXCERPT = """query ($id: ID!, $version: Int, $start: Int, $end: Int) {
  document(id: $id) { text(version: $version, start: $start, end: $end) }
}"""
FINAL = {"AnswerCompleted", "AnswerStopped", "AnswerInterrupted", "AnswerFailed"}


@dataclass(frozen=True)
class Library:
    """A user's bot that has read the documents."""

    user: GraphQLClient
    bot_id: str
    document_ids: dict[str, str]


async def new_bot(user: GraphQLClient, name: str = "Clerk") -> str:
    bot = await user.run(CREATE_BOT, name=name)
    assert (bot["__typename"], bot["name"]) == ("Bot", name)
    return str(bot["id"])


async def new_conversation(user: GraphQLClient, bot_id: str) -> str:
    conversation = await user.run(START, bot=bot_id)
    assert conversation["__typename"] == "Conversation"
    return str(conversation["id"])


async def ask(user: GraphQLClient, bot_id: str, question: str) -> str:
    """Ask in a conversation of its own and return the id of the answer."""
    exchange = await user.run(SEND, conversation=await new_conversation(user, bot_id), text=question)
    assert exchange["__typename"] == "Exchange"
    assert exchange["question"]["text"] == question
    return str(exchange["answer"]["id"])


async def until_read(user: GraphQLClient, document_id: str) -> list[dict[str, Any]]:
    """Return the states of a document up to the last one."""
    async with asyncio.timeout(DEADLINE_S):
        return await seen(user.watch(PROGRESS, id=document_id))


async def until_crawled(user: GraphQLClient, crawl_id: str) -> list[dict[str, Any]]:
    """Return the states of a crawl up to the last one."""
    async with asyncio.timeout(DEADLINE_S):
        return await seen(user.watch(CRAWL_PROGRESS, id=crawl_id))


async def seen(events: AsyncIterable[Any]) -> list[Any]:
    return [event async for event in events]


async def watched(user: GraphQLClient, answer_id: str, after: int = 0) -> list[dict[str, Any]]:
    """Return the events of an answer up to the last one, over a socket."""
    async with asyncio.timeout(DEADLINE_S):
        return await seen(user.watch(EVENTS, id=answer_id, after=after))


async def stored(user: GraphQLClient, answer_id: str) -> dict[str, Any]:
    message: dict[str, Any] = await user.run(MESSAGE, id=answer_id)
    return message


def joined(events: Sequence[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["__typename"] == "TextDelta")


def check_log(events: Sequence[dict[str, Any]], message: dict[str, Any]) -> None:
    """Check that events are a whole log, and that the stored message is what they tell."""
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["__typename"] in FINAL for event in events] == [False] * (len(events) - 1) + [True]
    assert joined(events) == message["text"]
    assert [event["citation"] for event in events if event["__typename"] == "CitationAdded"] == message["citations"]
    assert events[-1]["message"] == message
    assert events[-1]["__typename"] == "Answer" + message["status"].capitalize()
