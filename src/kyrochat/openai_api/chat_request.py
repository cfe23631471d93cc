"""What clients of OpenAI's chat completions send, and what of it is heard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kyrochat.errors import InvalidInput
from kyrochat.retrieval.types import Turn

MAX_MESSAGES = 1_000
# Longer than any answer may be.
MAX_TURN_CHARS = 200_000
SPEAKERS = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question to the bot `model`, after `turns`, which are questions and answers in turn.

    With a `conversation` the question goes there, and the turns are what is stored in it.
    """

    model: str
    turns: tuple[Turn, ...]
    question: str
    stream: bool = False
    include_usage: bool = False
    conversation: str | None = None


def read_request(body: object) -> ChatRequest:
    """Return what is asked in the JSON of a request.

    Sampling parameters are left to the bot's settings, and so are its instructions: `system` and `developer` messages
    are not heard.

    Raises:
        InvalidInput: it has no question, or asks for what is not done here.
    """
    if not isinstance(body, dict):
        raise InvalidInput.at("body", "Send a JSON object with `model` and `messages`.")
    model, stream = body.get("model"), body.get("stream") or False
    if not isinstance(model, str) or not model:
        raise InvalidInput.at("model", "Name a bot: one of the ids that /v1/models lists, or a bot's name.")
    if not isinstance(stream, bool):
        raise InvalidInput.at("stream", "It is true or false.")
    if body.get("n") not in (None, 1):
        raise InvalidInput.at("n", "One answer at a time.")
    if body.get("tools"):
        raise InvalidInput.at("tools", "Bots have tools of their own, and call none of the client's.")
    options, conversation = body.get("stream_options") or {}, body.get("conversation")
    if not isinstance(options, dict):
        raise InvalidInput.at("stream_options", "It is an object.")
    if not isinstance(conversation, str | None):
        raise InvalidInput.at("conversation", "It is the id of a conversation.")
    *turns, question = _in_turn(_turns(body.get("messages")))
    return ChatRequest(
        model, tuple(turns), question.text, stream, options.get("include_usage") is True, conversation or None
    )


def _turns(messages: object) -> list[Turn]:
    if not isinstance(messages, list) or not 1 <= len(messages) <= MAX_MESSAGES:
        raise InvalidInput.at("messages", f"Send 1 to {MAX_MESSAGES} messages; the last one is the question.")
    turns = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        if role in ("system", "developer"):
            continue
        if role not in SPEAKERS:
            raise InvalidInput.at("messages", "A message has a `role`: user, assistant, system or developer.")
        turns.append(Turn(role, _text(message.get("content"))))
    return [turn for turn in turns if turn.text.strip()]


def _text(content: object) -> str:
    parts: Sequence[object] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    texts = [_part(part) for part in parts]
    text = "\n".join(texts)
    if len(text) > MAX_TURN_CHARS:
        raise InvalidInput.at("messages", f"A message has at most {MAX_TURN_CHARS:,} characters.")
    # PostgreSQL stores no NUL.
    return text.replace("\0", "")


def _part(part: object) -> str:
    fields: Mapping[str, Any] = part if isinstance(part, dict) else {}
    text = fields.get("text")
    if fields.get("type") != "text" or not isinstance(text, str):
        raise InvalidInput.at("messages", "Messages are text: images, sounds and files go into the bot's documents.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput.at("messages", "A text holds half of a surrogate pair: it is not text.") from None
    return text


def _in_turn(turns: Sequence[Turn]) -> list[Turn]:
    """Join neighbours of one role, and drop a greeting: questions and answers in turn, a question last."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            joined[-1] = Turn(turn.role, f"{joined[-1].text}\n\n{turn.text}")
        elif joined or turn.role == "user":
            joined.append(turn)
    if not joined or joined[-1].role != "user":
        raise InvalidInput.at("messages", "The last message is the question: its `role` is user, and it has text.")
    return joined
