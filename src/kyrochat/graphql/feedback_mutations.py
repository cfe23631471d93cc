"""Mutations on feedback."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.graphql.chat import AnswerId, Message
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import Rating
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.problems import ConflictProblem, InvalidInputProblem, NotFoundProblem


@strawberry.input(description="What you think of an answer.")
class RateAnswerInput:
    """For `rateAnswer`."""

    message_id: strawberry.ID = strawberry.field(description="The answer.")
    rating: Rating = strawberry.field(description="Whether it helped.")
    comment: str | None = strawberry.field(
        default=UNSET, description="What else there is to say, up to 4,000 characters."
    )


RateAnswerResult = Annotated[
    Message | InvalidInputProblem | ConflictProblem | NotFoundProblem,
    strawberry.union("RateAnswerResult", description="The answer, or why it was not rated."),
]
WithdrawRatingResult = Annotated[
    Message | NotFoundProblem,
    strawberry.union("WithdrawRatingResult", description="The answer without your rating, or why there is none."),
]


@strawberry.type
class FeedbackMutation:
    """Mutations on feedback."""

    @strawberry.mutation(
        description="Say what you think of an answer of yours that has ended, in the place of what you said before. "
        "Who may change the bot sees that, with the question and the answer, and not who you are."
    )
    async def rate_answer(
        self, info: Info, input: Annotated[RateAnswerInput, strawberry.argument(description="The opinion.")]
    ) -> RateAnswerResult:
        """Rate."""
        row = await info.context.services.feedback.rate(
            info.context.viewer, row_id("Message", input.message_id), input.rating, input.comment or ""
        )
        return Message.from_row(row)

    @strawberry.mutation(description="Take back what you think of an answer. Nothing changes if you have not rated it.")
    async def withdraw_rating(self, info: Info, message_id: AnswerId) -> WithdrawRatingResult:
        """Take back."""
        feedback = info.context.services.feedback
        return Message.from_row(await feedback.take_back(info.context.viewer, row_id("Message", message_id)))
