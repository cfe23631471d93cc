"""Models that search again while they answer: what they find, what that may cost, and what they cannot do."""

from collections.abc import Callable, Sequence

import pytest

from kyrochat.chat.events import AnswerEnded, PassagesFound, ToolCalled
from kyrochat.chat.tool_use import MAX_CALLS, MAX_STEPS, SEARCH_DOCUMENTS
from kyrochat.db.states import FinishReason, MessageStatus
from kyrochat.retrieval.budgets import Budget
from kyrochat.retrieval.search_settings import DocumentFilter
from kyrochat.retrieval.types import Finished, Prompt, ToolCall, Usage
from tests.chat.scene import Chat, end_of, is_gapless, process, quotes_of, text_of
from tests.chat.scripted_model import USAGE, Script, ScriptedModel
from tests.factories import make_document

MOORING = "Moorings at the jetty cost nine euros a night. The gate closes at ten."
QUESTION = "How many eggs does the queen of a hive lay?"


def wants(*queries: object, raw: object = "signed") -> Finished:
    """The end of a step in which the model asks for searches."""
    calls = tuple(
        ToolCall(f"call-{n}", "search_documents", {"query": query}) for n, query in enumerate(queries, start=1)
    )
    return Finished(Usage(10, 2), calls=calls, raw=raw)


def in_turn(*scripts: Script) -> Callable[[Prompt], Script]:
    """Play one script a step; the last one again, if there are more steps."""

    def script(prompt: Prompt) -> Script:
        return scripts[min(len(prompt.steps), len(scripts) - 1)]

    return script


@pytest.fixture
async def agentic(chat: Chat) -> Chat:
    await chat.run("UPDATE bots SET agentic = true")
    await make_document(chat.database, chat.bot, MOORING, title="Harbour")
    return chat


async def test_a_model_finds_what_the_question_did_not_and_cites_it_by_the_next_number(agentic: Chat) -> None:
    agentic.model.script = in_turn(
        ["Let me see.", wants("moorings jetty night")],
        ["The queen lays up to 2,000 eggs a day [1]. A mooring costs nine euros a night [2]."],
    )

    answer, entries = await agentic.answer(QUESTION)

    first, second = agentic.model.prompts
    assert [passage.text for passage in first.passages] == [first.passages[0].text]
    assert first.tools == second.tools == (SEARCH_DOCUMENTS,)
    (step,) = second.steps
    assert (step.text, step.raw, [call.id for call in step.calls]) == ("Let me see.", "signed", ["call-1"])
    assert "<<passage 2 " in step.results[0]
    assert MOORING in step.results[0]
    found, called = (entry.event for entry in entries if isinstance(entry.event, PassagesFound | ToolCalled))
    assert isinstance(found, PassagesFound)
    assert isinstance(called, ToolCalled)
    assert (called.tool, called.arguments, called.problem) == (
        "search_documents",
        {"query": "moorings jetty night"},
        None,
    )
    assert [passage.text for passage in called.passages] == [MOORING]
    assert (
        text_of(entries)
        == answer.text
        == ("Let me see.\n\nThe queen lays up to 2,000 eggs a day [1]. A mooring costs nine euros a night [2].")
    )
    assert [quote.document_title for quote in quotes_of(entries)] == ["Handbook", "Harbour"]
    assert (answer.grounded, answer.status) == (True, MessageStatus.COMPLETED)
    assert (answer.prompt_tokens, answer.completion_tokens) == (10 + USAGE.prompt_tokens, 2 + USAGE.completion_tokens)
    assert is_gapless(entries)
    assert await agentic.stored(answer.id) == entries
    searches = await agentic.a.service.searches(agentic.viewer, [answer.id])
    assert [trace.query for trace in searches[answer.id]] == [QUESTION, "moorings jetty night"]


async def test_a_bot_that_is_not_agentic_has_no_tools(chat: Chat) -> None:
    chat.model.script = [wants("anything")]

    answer, entries = await chat.answer()

    assert chat.model.prompts[0].tools == ()
    assert not [entry for entry in entries if isinstance(entry.event, ToolCalled)]
    assert (answer.status, answer.finish_reason) == (MessageStatus.FAILED, FinishReason.EMPTY)


async def test_after_some_steps_the_model_has_to_answer(agentic: Chat) -> None:
    agentic.model.script = lambda prompt: [wants(f"moorings {len(prompt.steps)}")] if prompt.may_call else ["So be it."]

    answer, entries = await agentic.answer(QUESTION)

    assert answer.text == "So be it."
    assert [prompt.may_call for prompt in agentic.model.prompts] == [True] * MAX_STEPS + [False]
    assert len([entry for entry in entries if isinstance(entry.event, ToolCalled)]) == MAX_STEPS


async def test_a_model_that_searches_for_ever_has_failed(agentic: Chat) -> None:
    agentic.model.script = [wants("moorings")]

    answer, entries = await agentic.answer(QUESTION)

    assert len(agentic.model.prompts) == MAX_STEPS + 1
    assert end_of(entries) == AnswerEnded(
        MessageStatus.FAILED, "The model only used its tools. Try again.", retryable=True
    )
    assert answer.finish_reason is FinishReason.EMPTY


async def test_line_ends_before_searches_are_no_answer(agentic: Chat) -> None:
    agentic.model.script = ["\n\n", wants("moorings")]

    answer, entries = await agentic.answer(QUESTION)

    assert end_of(entries) == AnswerEnded(
        MessageStatus.FAILED, "The model only used its tools. Try again.", retryable=True
    )
    assert answer.finish_reason is FinishReason.EMPTY


async def test_line_ends_before_a_search_are_no_paragraph(agentic: Chat) -> None:
    agentic.model.script = in_turn(["\n\n", wants("moorings")], ["Nine euros."])

    answer, _ = await agentic.answer(QUESTION)

    assert answer.text == "\n\nNine euros."


async def test_what_was_found_before_is_named_and_not_told_again(agentic: Chat) -> None:
    agentic.model.script = in_turn([wants("eggs of the queen", "moorings jetty")], ["Yes."])

    _, entries = await agentic.answer(QUESTION)

    known, new = agentic.model.prompts[1].steps[0].results
    assert known == "Found again: [1]."
    assert "<<passage 2 " in new
    passages = [entry.event.passages for entry in entries if isinstance(entry.event, ToolCalled)]
    assert [len(found) for found in passages] == [0, 1]


async def test_searches_at_once_are_bounded(agentic: Chat) -> None:
    agentic.model.script = in_turn([wants(*["moorings"] * (MAX_CALLS + 2))], ["Yes."])

    _, entries = await agentic.answer(QUESTION)

    problems = [entry.event.problem for entry in entries if isinstance(entry.event, ToolCalled)]
    assert problems == [None] * MAX_CALLS + ["Only 4 searches are made at once."] * 2
    assert len(agentic.model.prompts[1].steps[0].results) == MAX_CALLS + 2


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (ToolCall("1", "delete_documents", {"all": True}), "There is no such tool."),
        (ToolCall("1", "search_documents", None), "The arguments are no JSON object."),
        (ToolCall("1", "search_documents", {}), "`query` must be a text of 1 to 1000 characters."),
        (ToolCall("1", "search_documents", {"query": ["a"]}), "`query` must be a text of 1 to 1000 characters."),
        (ToolCall("1", "search_documents", {"query": "a" * 1_001}), "`query` must be a text of 1 to 1000 characters."),
        (
            ToolCall("1", "search_documents", {"query": "a", "filters": {"tags": "x"}}),
            "`filters` must be an object, and its `tags` a list of texts.",
        ),
        (
            ToolCall("1", "search_documents", {"query": "a", "filters": 3}),
            "`filters` must be an object, and its `tags` a list of texts.",
        ),
        (
            ToolCall("1", "search_documents", {"query": "moo\x00rings \ud800", "filters": {"tags": ["\x00\udfff"]}}),
            None,
        ),
    ],
)
async def test_a_call_that_makes_no_sense_is_told_so_and_does_nothing(
    agentic: Chat, call: ToolCall, problem: str | None
) -> None:
    agentic.model.script = in_turn([Finished(USAGE, calls=(call,))], ["Yes."])
    before = await agentic.column("SELECT count(*) FROM documents")

    answer, entries = await agentic.answer(QUESTION)

    (called,) = [entry.event for entry in entries if isinstance(entry.event, ToolCalled)]
    assert called.problem == problem
    assert answer.status is MessageStatus.COMPLETED
    assert problem is None or agentic.model.prompts[1].steps[0].results == (problem,)
    assert await agentic.column("SELECT count(*) FROM documents") == before
    assert await agentic.stored(answer.id) == entries


async def test_a_filter_by_tags_is_one(agentic: Chat) -> None:
    call = ToolCall("1", "search_documents", {"query": "moorings jetty", "filters": {"tags": ["nobody has it"]}})
    agentic.model.script = in_turn([Finished(USAGE, calls=(call,))], ["Yes."])

    await agentic.answer(QUESTION)

    assert agentic.model.prompts[1].steps[0].results == ("Nothing was found.",)


async def test_a_search_does_not_reach_beyond_the_documents_that_the_question_is_for(agentic: Chat) -> None:
    agentic.model.script = in_turn([wants("moorings jetty")], ["Yes."])
    only = DocumentFilter(document_ids=(agentic.document.id,))

    exchange = await agentic.a.service.send(agentic.viewer, await agentic.conversation(), QUESTION, wanted=only)
    await agentic.watch(exchange.answer.id)

    assert MOORING not in agentic.model.prompts[1].steps[0].results[0]


async def test_what_searches_bring_stays_within_the_budget(agentic: Chat) -> None:
    texts = [f"Moorings of jetty number {n} cost {n} euros. " * 20 for n in range(12)]
    for n, text in enumerate(texts):
        await make_document(agentic.database, agentic.bot, text, title=f"Jetty {n}")
    model = ScriptedModel(in_turn([wants("moorings of jetty number")], [wants("moorings cost euros")], ["Yes."]))
    async with process(agentic.url, model, budget=Budget(prompt_tokens=4_000)) as small:
        exchange = await small.service.send(agentic.viewer, await agentic.conversation(), QUESTION)
        await agentic.watch(exchange.answer.id, on=small)

    results: Sequence[str] = [result for step in model.prompts[-1].steps for result in step.results]
    assert results
    assert sum(len(result.encode()) for result in results) / 3 <= 2_000 + 200
    assert model.prompts[-1].may_call is False
