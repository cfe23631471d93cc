"""What can be set on a bot, in the schema."""

from typing import cast

import strawberry
from strawberry import UNSET

from kyrochat.bots.service import BotFields
from kyrochat.graphql.enums import Language

NAME = "How it is called; unique in its workspace, up to 100 characters."
DESCRIPTION = "What it is for; shown to users, up to 4,000 characters."
INSTRUCTIONS = "How it should answer: tone, language, what to leave out. Up to 20,000 characters."
MODEL = "The model that writes its answers; the server's default when empty."
TEMPERATURE = "0 to 2: how freely the model words its answers. The offline answerer quotes and ignores it."
TOP_K = "How many passages an answer may use, 1 to 50."
MIN_SCORE = "What scores less is neither shown nor used: 0 to 1, as `Passage.score`."
ALPHA = (
    "The weight of the leg that finds by meaning, 0 to 1; the one that finds by words has the rest. "
    "Null: the server's default, which was measured."
)
AGENTIC = "Whether the model may search again, with words of its own, while it answers; off by default."
GREETING = "What it says first; shown by frontends."
SUGGESTIONS = "Questions that frontends may offer, up to 10."
FOLLOW_UPS = (
    "Whether its answers come with up to three questions to ask next, for one more request to the model each. Off by "
    "default; offline there are none."
)
LANGUAGE = (
    "The language of its documents, whose rules stem their words; by default it is guessed for each text. "
    "After a change the documents are searched as before until a job has encoded them anew."
)


@strawberry.input(description="A new bot.")
class CreateBotInput:
    """For `createBot`."""

    name: str = strawberry.field(description=NAME)
    workspace_id: strawberry.ID | None = strawberry.field(
        default=UNSET, description="The workspace that shall own it; your personal one by default."
    )
    description: str | None = strawberry.field(default=UNSET, description=DESCRIPTION)
    instructions: str | None = strawberry.field(default=UNSET, description=INSTRUCTIONS)
    model: str | None = strawberry.field(default=UNSET, description=MODEL)
    temperature: float | None = strawberry.field(default=UNSET, description=TEMPERATURE)
    top_k: int | None = strawberry.field(default=UNSET, description=TOP_K)
    min_score: float | None = strawberry.field(default=UNSET, description=MIN_SCORE)
    alpha: float | None = strawberry.field(default=UNSET, description=ALPHA)
    agentic: bool | None = strawberry.field(default=UNSET, description=AGENTIC)
    greeting: str | None = strawberry.field(default=UNSET, description=GREETING)
    suggested_questions: list[str] | None = strawberry.field(default=UNSET, description=SUGGESTIONS)
    suggests_follow_ups: bool | None = strawberry.field(default=UNSET, description=FOLLOW_UPS)
    language: Language | None = strawberry.field(default=UNSET, description=LANGUAGE)


@strawberry.input(
    description="Changes of a bot; what is left out, or null, stays as it is. Only for `alpha` null is a value."
)
class UpdateBotInput:
    """For `updateBot`."""

    id: strawberry.ID = strawberry.field(description="The bot to change.")
    name: str | None = strawberry.field(default=UNSET, description=NAME)
    description: str | None = strawberry.field(default=UNSET, description=DESCRIPTION)
    instructions: str | None = strawberry.field(default=UNSET, description=INSTRUCTIONS)
    model: str | None = strawberry.field(default=UNSET, description=MODEL)
    temperature: float | None = strawberry.field(default=UNSET, description=TEMPERATURE)
    top_k: int | None = strawberry.field(default=UNSET, description=TOP_K)
    min_score: float | None = strawberry.field(default=UNSET, description=MIN_SCORE)
    alpha: float | None = strawberry.field(default=UNSET, description=ALPHA)
    agentic: bool | None = strawberry.field(default=UNSET, description=AGENTIC)
    greeting: str | None = strawberry.field(default=UNSET, description=GREETING)
    suggested_questions: list[str] | None = strawberry.field(default=UNSET, description=SUGGESTIONS)
    suggests_follow_ups: bool | None = strawberry.field(default=UNSET, description=FOLLOW_UPS)
    language: Language | None = strawberry.field(default=UNSET, description=LANGUAGE)


def bot_fields(input: CreateBotInput | UpdateBotInput) -> BotFields:
    """Return the fields that an input sets."""
    given = {
        "name": input.name,
        "description": input.description,
        "instructions": input.instructions,
        "model": input.model,
        "temperature": input.temperature,
        "top_k": input.top_k,
        "min_score": input.min_score,
        "alpha": input.alpha,
        "agentic": input.agentic,
        "greeting": input.greeting,
        "suggested_questions": input.suggested_questions,
        "suggests_follow_ups": input.suggests_follow_ups,
        "language": input.language,
    }
    fields = {name: value for name, value in given.items() if value not in (None, UNSET)}
    # Null is what it is by default, so this is how to go back to that.
    return cast(BotFields, fields if input.alpha is UNSET else {**fields, "alpha": input.alpha})
