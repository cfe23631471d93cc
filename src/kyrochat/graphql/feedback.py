"""What users think of answers, in the schema."""

from datetime import datetime
from typing import Annotated

import strawberry

from kyrochat.chat.feedback import RatedAnswer
from kyrochat.graphql.enums import Rating
from kyrochat.graphql.passages import Citation

RatingFilter = Annotated[Rating | None, strawberry.argument(description="Only such ratings.")]
Since = Annotated[
    datetime | None, strawberry.argument(description="Only what was rated, or rated anew, from this time on.")
]


@strawberry.type(
    description="What a user thinks of an answer, with what was asked and answered. Who it is is not said."
)
class Feedback:
    """From chat.feedback.RatedAnswer."""

    rating: Rating = strawberry.field(description="Whether it helped.")
    comment: str = strawberry.field(description="What else there is to say; '' for nothing.")
    question: str = strawberry.field(description="What was asked.")
    answer: str = strawberry.field(description="What was answered.")
    citations: list[Citation] = strawberry.field(description="The quotes that the answer's markers stand for.")
    grounded: bool | None = strawberry.field(description="Whether the sources held the answer.")
    model: str | None = strawberry.field(description="The model that wrote the answer.")
    rated_at: datetime = strawberry.field(description="When it was rated; after a change, the last time.")

    @classmethod
    def from_service(cls, rated: RatedAnswer) -> "Feedback":
        """Translate."""
        return cls(
            rating=rated.rating.rating,
            comment=rated.rating.comment,
            question=rated.question.text,
            answer=rated.answer.text,
            citations=[Citation.from_row(row) for row in rated.citations],
            grounded=rated.answer.grounded,
            model=rated.answer.model,
            rated_at=rated.rating.updated_at,
        )
