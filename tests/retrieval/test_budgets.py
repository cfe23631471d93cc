"""What a model is told stays within its budget, and the oldest goes first."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from kyrochat.retrieval.budgets import PASSAGE_TOKENS, RULES_TOKENS, TURN_TOKENS, Budget, estimated_tokens, latest
from kyrochat.retrieval.types import Passage, Prompt, Turn

TURNS = (Turn("user", "a" * 30), Turn("assistant", "b" * 30), Turn("user", "c" * 30), Turn("assistant", "d" * 30))
EACH = TURN_TOKENS + 10


def passage(text: str) -> Passage:
    return Passage(UUID(int=1), UUID(int=1), "Eggs", 1, 0, len(text), text, 1.0)


def test_tokens_are_estimated_by_bytes_and_rounded_up() -> None:
    assert [estimated_tokens(text) for text in ("", "a", "abc", "abcd", "蜂蜜", "Ж")] == [0, 1, 1, 2, 2, 1]


def test_the_oldest_turns_are_dropped_first_and_no_answer_stands_without_its_question() -> None:
    assert latest(TURNS, 4 * EACH) == TURNS
    assert latest(TURNS, 4 * EACH - 1) == TURNS[2:]
    assert latest(TURNS, 2 * EACH) == TURNS[2:]
    assert latest(TURNS, 2 * EACH - 1) == ()
    assert latest(TURNS, 0) == ()


def test_a_prompt_that_fits_is_not_touched() -> None:
    prompt = Prompt("Be brief.", (passage("Four minutes."),), TURNS, "How long?")

    assert Budget().fitted(prompt) == prompt


def test_a_trimmed_history_is_said_to_be_trimmed() -> None:
    prompt = Prompt("", (), TURNS, "How long?")

    fitted = Budget(history_tokens=2 * EACH).fitted(prompt)

    assert (fitted.history, fitted.history_trimmed) == (TURNS[2:], True)


def test_passages_go_from_the_last_and_the_best_one_stays_whatever_its_size() -> None:
    passages = tuple(passage(letter * 300) for letter in "xyz")
    room = RULES_TOKENS + estimated_tokens("Eggs?") + 2 * (PASSAGE_TOKENS + 100)

    assert Budget(room, 0).fitted(Prompt("", passages, (), "Eggs?")).passages == passages[:2]
    assert Budget(room - 1, 0).fitted(Prompt("", passages, (), "Eggs?")).passages == passages[:1]
    assert Budget(1, 0).fitted(Prompt("", passages, (), "Eggs?")).passages == passages[:1]


@given(
    st.lists(st.text(max_size=60), max_size=6),
    st.lists(st.text(max_size=60), max_size=6),
    st.integers(0, 2_000),
    st.integers(0, 2_000),
)
def test_what_is_kept_is_the_end_of_the_history_and_the_start_of_the_passages(
    history: list[str], texts: list[str], prompt_tokens: int, history_tokens: int
) -> None:
    turns = tuple(Turn("user" if place % 2 == 0 else "assistant", text) for place, text in enumerate(history))
    prompt = Prompt("", tuple(map(passage, texts)), turns, "How long?")

    fitted = Budget(prompt_tokens, history_tokens).fitted(prompt)

    assert fitted.history == turns[len(turns) - len(fitted.history) :]
    assert fitted.passages == prompt.passages[: len(fitted.passages)]
    assert fitted.history_trimmed == (len(fitted.history) < len(turns))
    told = [turn.text for turn in fitted.history] + [each.text for each in fitted.passages[1:]]
    assert sum(map(estimated_tokens, told)) <= max(0, prompt_tokens)
    assert sum(estimated_tokens(turn.text) for turn in fitted.history) <= history_tokens
