"""What a message tells of how it was made, if it is an answer."""

import strawberry

from kyrochat.db import models
from kyrochat.graphql.enums import FinishReason


@strawberry.type
class AnswerFacts:
    """A part of Message. Of answers that were stopped or interrupted none of this is known."""

    row: strawberry.Private[models.Message]

    @strawberry.field(description="Why the model stopped writing; null for questions and answers without an end.")
    def finish_reason(self) -> FinishReason | None:
        """Translate."""
        return self.row.finish_reason

    @strawberry.field(
        description="Whether the conversation began earlier than what the model was told of it; null as above."
    )
    def history_trimmed(self) -> bool | None:
        """Translate."""
        return self.row.history_trimmed

    @strawberry.field(
        description="How many of the model's citations were taken out of the text, since the passages do not bear "
        "them out; null as above."
    )
    def removed_citations(self) -> int | None:
        """Translate."""
        return self.row.removed_citations
