"""Searching by hand in the schema."""

from dataclasses import replace
from typing import Annotated

import strawberry
from strawberry import UNSET

from kyrochat.chat import searching
from kyrochat.errors import InvalidInput
from kyrochat.graphql.context import Info
from kyrochat.graphql.enums import SearchLeg
from kyrochat.graphql.filters import DocumentFilterInput, document_filter
from kyrochat.graphql.ids import row_id
from kyrochat.graphql.optional import if_given, tuple_if_given
from kyrochat.graphql.passages import Passage
from kyrochat.graphql.searches import SearchedPassage, SearchTrace
from kyrochat.retrieval.search_settings import SearchSettings
from kyrochat.retrieval.settings_rules import MAX_TOP_K

DEFAULT_PASSAGES = 8
Bot = Annotated[strawberry.ID, strawberry.argument(description="The bot whose documents to search.")]
Question = Annotated[str, strawberry.argument(description="A question, or just words.")]


@strawberry.input(description="How to search; what is left out, or null, is as the bot has it.")
class SearchSettingsInput:
    """For `search`, `explainSearch` and `replaySearch`."""

    top_k: int | None = strawberry.field(default=UNSET, description="How many passages at most: 1 to 50.")
    min_score: float | None = strawberry.field(
        default=UNSET, description="Leave out what scores less: 0 to 1, as `Passage.score`."
    )
    alpha: float | None = strawberry.field(
        default=UNSET,
        description="The weight of the leg that finds by meaning, 0 to 1; the one that finds by words has the rest.",
    )
    legs: list[SearchLeg] | None = strawberry.field(
        default=UNSET, description="The legs to use, of those that the server has; all by default."
    )
    filter: DocumentFilterInput | None = strawberry.field(
        default=UNSET, description="Only documents that it lets through."
    )


Settings = Annotated[SearchSettingsInput | None, strawberry.argument(description="How; by default as the bot does it.")]


@strawberry.type(description="A search of an answer, and the same one made again with other settings.")
class SearchReplay:
    """From searching.Replay."""

    before: SearchTrace = strawberry.field(description="The search as the answer made it.")
    after: SearchTrace = strawberry.field(description="The search as it is made now.")
    gained: list[SearchedPassage] = strawberry.field(description="Passages of `after` of which `before` had nothing.")
    lost: list[SearchedPassage] = strawberry.field(description="Passages of `before` of which `after` has nothing.")

    @classmethod
    def from_value(cls, value: searching.Replay) -> "SearchReplay":
        """Translate."""
        return cls(
            before=SearchTrace.from_value(value.before),
            after=SearchTrace.from_value(value.after),
            gained=[SearchedPassage.from_value(each) for each in value.gained],
            lost=[SearchedPassage.from_value(each) for each in value.lost],
        )


@strawberry.type
class SearchQuery:
    """Queries that search."""

    @strawberry.field(description="Passages for a question, best first, by the very path that answers use.")
    async def search(
        self,
        info: Info,
        bot_id: Bot,
        query: Question,
        first: Annotated[
            int | None,
            strawberry.argument(description="How many at most: 1 to 50. With `settings.topK`, so many of these."),
        ] = DEFAULT_PASSAGES,
        settings: Settings = UNSET,
    ) -> list[Passage]:
        """Search."""
        most = DEFAULT_PASSAGES if first is None else first
        if not 1 <= most <= MAX_TOP_K:
            raise InvalidInput.at("first", f"It is {most}; 1 to {MAX_TOP_K} are allowed.")
        wanted = search_settings(settings)
        if wanted.top_k is None:
            wanted = replace(wanted, top_k=most)
        found = await info.context.services.searches.search(info.context.viewer, row_id("Bot", bot_id), query, wanted)
        return await Passage.of_live_documents(found.passages[:most], info.context)

    @strawberry.field(
        description="Search as an answer would, and tell how: what each leg found, how candidates scored, what was "
        "kept, and why the rest was not."
    )
    async def explain_search(self, info: Info, bot_id: Bot, query: Question, settings: Settings = UNSET) -> SearchTrace:
        """Search."""
        found = await info.context.services.searches.search(
            info.context.viewer, row_id("Bot", bot_id), query, search_settings(settings), fresh=True
        )
        return SearchTrace.from_value(found.trace)

    @strawberry.field(
        description="Make the searches of one of your answers again, over the documents of today: with the settings of "
        "then, but for those that are given. So you see what a setting would have changed."
    )
    async def replay_search(
        self,
        info: Info,
        message_id: Annotated[strawberry.ID, strawberry.argument(description="The id of an answer.")],
        settings: Settings = UNSET,
    ) -> list[SearchReplay]:
        """Search."""
        found = await info.context.services.searches.replay(
            info.context.viewer, row_id("Message", message_id), search_settings(settings)
        )
        return [SearchReplay.from_value(each) for each in found]


def search_settings(given: SearchSettingsInput | None) -> SearchSettings:
    """Return the settings of an input."""
    if not given:
        return SearchSettings()
    return SearchSettings(
        top_k=if_given(given.top_k),
        min_score=if_given(given.min_score),
        alpha=if_given(given.alpha),
        legs=tuple_if_given(given.legs),
        filter=document_filter(given.filter),
    )
