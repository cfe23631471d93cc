"""What a model writes besides answers: titles, questions to ask next."""

from contextlib import aclosing

from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.types import Finished, Prompt, TextPiece, Usage

NOTHING = Usage(0, 0)


async def reply(model: AnswerModel, wanted_model: str, task: str, told: str, *, max_chars: int) -> tuple[str, Usage]:
    """Return what a model makes of a task, and what that took. After `max_chars` it is cut, and nobody knows.

    Raises:
        ProviderUnavailable: the model failed.
    """
    prompt = Prompt("", (), (), told, model=wanted_model, temperature=0.0, task=task)
    text, usage = "", NOTHING
    async with aclosing(model.stream(prompt)) as stream:
        async for item in stream:
            match item:
                case TextPiece(piece):
                    text += piece
                    if len(text) > max_chars:
                        break
                case Finished():
                    usage = item.usage
    return text, usage
