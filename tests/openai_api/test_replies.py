"""The form of answers, as OpenAI has it."""

from uuid import UUID

import pytest

from kyrochat.db.models import Message
from kyrochat.db.states import FinishReason, MessageRole, MessageStatus
from kyrochat.openai_api.replies import Reply

REPLY = Reply(UUID(int=1), "conversation", "Clerk", 1)


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        (MessageStatus.COMPLETED, FinishReason.STOP, "stop"),
        (MessageStatus.COMPLETED, FinishReason.LENGTH, "length"),
        (MessageStatus.STOPPED, None, "stop"),
    ],
)
def test_an_answer_that_was_cut_for_its_length_says_so(
    status: MessageStatus, reason: FinishReason | None, told: str
) -> None:
    message = Message(position=2, role=MessageRole.ASSISTANT, status=status, text="On Mon", finish_reason=reason)

    assert REPLY.completion(message, ())["choices"][0]["finish_reason"] == told
    assert REPLY.end(message, ())["choices"][0]["finish_reason"] == told
