"""Prompts, and how a stream is read to its end."""

from dataclasses import dataclass

from kyrochat.errors import ProviderFault, ProviderUnavailable
from kyrochat.retrieval.ports import AnswerModel
from kyrochat.retrieval.types import Finished, Prompt, TextPiece, Turn

QUESTION = Prompt(instructions="", passages=(), history=(), question="How long does an egg take?")


def with_history(*turns: Turn) -> Prompt:
    return Prompt(instructions="Be brief.", passages=(), history=turns, question="And hard?", temperature=0.7)


@dataclass
class Outcome:
    """What a stream yielded, and how it ended."""

    texts: list[str]
    finished: Finished | None = None
    problem: ProviderUnavailable | None = None

    @property
    def message(self) -> str:
        assert self.problem is not None, f"no problem, but {self.finished}"
        return self.problem.message

    @property
    def fault(self) -> ProviderFault:
        assert self.problem is not None, f"no problem, but {self.finished}"
        return self.problem.fault

    @property
    def retryable(self) -> bool:
        assert self.problem is not None, f"no problem, but {self.finished}"
        return self.problem.retryable


async def outcome_of(model: AnswerModel, prompt: Prompt = QUESTION) -> Outcome:
    outcome = Outcome([])
    try:
        async for event in model.stream(prompt):
            match event:
                case TextPiece(text):
                    assert outcome.finished is None
                    outcome.texts.append(text)
                case Finished():
                    assert outcome.finished is None
                    outcome.finished = event
    except ProviderUnavailable as problem:
        outcome.problem = problem
    return outcome
