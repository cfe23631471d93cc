from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.errors import InvalidInput
from kyrochat.openai_api.chat_request import ChatRequest, read_request
from kyrochat.retrieval.types import Turn


def said(role: str, content: Any = "text") -> dict[str, Any]:
    return {"role": role, "content": content}


def test_the_last_message_is_the_question_and_the_others_come_before() -> None:
    messages = [said("user", "One?"), said("assistant", "Two."), said("user", "Three?")]

    assert read_request({"model": "Clerk", "messages": messages}) == ChatRequest(
        "Clerk", (Turn("user", "One?"), Turn("assistant", "Two.")), "Three?"
    )


def test_instructions_and_greetings_are_not_heard_and_neighbours_are_joined() -> None:
    messages = [
        said("system", "Be rude."),
        said("assistant", "Welcome!"),
        said("user", "Look:"),
        said("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        said("assistant", "I see."),
        said("assistant", "  "),
        said("developer", "Be ruder."),
        said("user", "And now?"),
    ]

    asked = read_request({"model": "Clerk", "messages": messages, "temperature": 2, "stream": True})

    assert asked.turns == (Turn("user", "Look:\n\na\nb"), Turn("assistant", "I see."))
    assert (asked.question, asked.stream, asked.include_usage) == ("And now?", True, False)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(max_size=5)), max_size=8))
def test_turns_alternate_and_no_word_of_the_user_is_lost(spoken: list[tuple[str, str]]) -> None:
    messages = [said(role, text) for role, text in spoken] + [said("user", "end?")]

    asked = read_request({"model": "m", "messages": messages})

    roles = [turn.role for turn in asked.turns]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    heard = "".join(turn.text for turn in asked.turns if turn.role == "user") + asked.question
    words = [text.replace("\0", "") for role, text in spoken if role == "user"]
    assert heard.replace("\n\n", "") == "".join([word for word in words if word.strip()] + ["end?"]).replace("\n\n", "")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": ["x"]}, "messages"),
        ({"model": "m", "messages": [said("robot")]}, "messages"),
        ({"model": "m", "messages": [said("assistant")]}, "messages"),
        ({"model": "m", "messages": [said("user"), said("assistant")]}, "messages"),
        ({"model": "m", "messages": [said("user", " ")]}, "messages"),
        ({"model": "m", "messages": [said("user", [{"type": "image_url", "image_url": {}}])]}, "messages"),
        ({"model": "m", "messages": [said("user", 7)]}, "messages"),
        ({"model": "m", "messages": [said("user", "\ud83d")]}, "messages"),
        ({"model": "m", "messages": [said("user", "x" * 200_001)]}, "messages"),
        ({"model": "m", "messages": [said("user")] * 1_001}, "messages"),
        ({"model": "m", "messages": [said("user")], "n": 2}, "n"),
        ({"model": "m", "messages": [said("user")], "tools": [{}]}, "tools"),
        ({"model": "m", "messages": [said("user")], "stream": "yes"}, "stream"),
        ({"model": "m", "messages": [said("user")], "stream_options": [1]}, "stream_options"),
        ({"model": "m", "messages": [said("user")], "conversation": 7}, "conversation"),
    ],
)
def test_what_cannot_be_answered_names_its_field(body: object, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_request(body)

    assert [issue.path for issue in refused.value.issues] == [(field,)]
