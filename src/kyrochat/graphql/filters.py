"""Metadata of documents and filters on them in the schema."""

from typing import Annotated, Any, NewType, TypeVar, cast

import strawberry
from strawberry import UNSET

from kyrochat.documents.labels import Labels
from kyrochat.errors import InvalidInput
from kyrochat.graphql.enums import DocumentSource
from kyrochat.graphql.ids import global_id, row_id
from kyrochat.graphql.optional import if_given, tuple_if_given
from kyrochat.retrieval import search_settings

T = TypeVar("T")

Metadata = NewType("Metadata", object)
MetadataValue = NewType("MetadataValue", object)

METADATA_SCALAR = strawberry.scalar(
    name="Metadata",
    description='A JSON object of up to 32 keys, such as {"year": 2026, "public": true, "authors": ["Ada"]}: '
    "texts of up to 500 characters, numbers, true, false and lists of texts.",
)
METADATA_VALUE_SCALAR = strawberry.scalar(
    name="MetadataValue", description="A text, a number, true or false, as a value of a document's metadata."
)

TAGS = "Up to 20 tags of up to 50 characters, by which searches can be filtered."
METADATA = "What else is known of it, by which searches can be filtered."


@strawberry.input(
    description="What a document's metadata must say under a key. All that is given must hold. "
    "`equals` and `in` look into lists of texts, too."
)
class MetadataConditionInput:
    """For `DocumentFilterInput`."""

    key: str = strawberry.field(description="The key.")
    equals: MetadataValue | None = strawberry.field(default=UNSET, description="The value, or one in the list.")
    any_of: list[MetadataValue] | None = strawberry.field(
        name="in", default=UNSET, description="The value, or one in the list, is one of these, up to 50."
    )
    exists: bool | None = strawberry.field(default=UNSET, description="Whether the key is there.")
    at_least: MetadataValue | None = strawberry.field(
        name="gte",
        default=UNSET,
        description="A number that is not less, or a text that does not sort before, such as 2026-11-26.",
    )
    at_most: MetadataValue | None = strawberry.field(
        name="lte", default=UNSET, description="A number that is not greater, or a text that does not sort after."
    )


@strawberry.input(description="Tags of documents. Both must hold, where both are given.")
class TagFilterInput:
    """For `DocumentFilterInput`."""

    any: list[str] | None = strawberry.field(default=UNSET, description="One of these.")
    all: list[str] | None = strawberry.field(default=UNSET, description="All of these.")


@strawberry.input(
    description="Which documents to search: all that is given must hold. An empty list matches no document, and so "
    "does a document of somebody else."
)
class DocumentFilterInput:
    """For searches, questions and lists."""

    document_ids: list[strawberry.ID] | None = strawberry.field(default=UNSET, description="These, up to 100.")
    sources: list[DocumentSource] | None = strawberry.field(default=UNSET, description="Those that came in like this.")
    tags: TagFilterInput | None = strawberry.field(default=UNSET, description="Those with these tags, up to 20.")
    metadata: list[MetadataConditionInput] | None = strawberry.field(
        default=UNSET, description="Those whose metadata meets these conditions, up to 10."
    )


Filter = Annotated[DocumentFilterInput | None, strawberry.argument(description="Only documents that it lets through.")]


@strawberry.type(description="Which documents were searched. What is null was not asked for.")
class DocumentFilter:
    """From search_settings.DocumentFilter."""

    document_ids: list[strawberry.ID] | None = strawberry.field(description="These.")
    sources: list[DocumentSource] | None = strawberry.field(description="Those that came in like this.")
    any_tags: list[str] | None = strawberry.field(description="Those with one of these tags.")
    all_tags: list[str] | None = strawberry.field(description="Those with all of these tags.")
    metadata: list[Metadata] = strawberry.field(
        description="Those whose metadata met these conditions, each as in the input: key, and what must hold of it."
    )

    @classmethod
    def from_value(cls, value: search_settings.DocumentFilter) -> "DocumentFilter | None":
        """Translate; a filter that lets everything through is none."""
        if value == search_settings.NO_FILTER:
            return None
        return cls(
            document_ids=None
            if value.document_ids is None
            else [global_id("Document", each) for each in value.document_ids],
            sources=_list(value.sources),
            any_tags=_list(value.any_tags),
            all_tags=_list(value.all_tags),
            metadata=[Metadata(_told(each)) for each in value.metadata],
        )


def _told(condition: search_settings.MetadataCondition) -> dict[str, object]:
    told = {
        "key": condition.key,
        "equals": condition.equals,
        "in": _list(condition.any_of),
        "exists": condition.exists,
        "gte": condition.at_least,
        "lte": condition.at_most,
    }
    return {name: value for name, value in told.items() if value is not None}


def labels(tags: list[str] | None, metadata: object) -> Labels:
    """Return the labels of an input, where nothing need be given."""
    return Labels(tuple(tags or ()), metadata_of(metadata) or {})


def metadata_of(given: object) -> dict[str, Any] | None:
    """Return metadata as it was given; its rules are told by the service, also that it is an object."""
    return cast("dict[str, Any] | None", if_given(given))


def document_filter(given: DocumentFilterInput | None) -> search_settings.DocumentFilter:
    """Return the filter of an input."""
    if not given:
        return search_settings.NO_FILTER
    ids = tuple_if_given(given.document_ids)
    return search_settings.DocumentFilter(
        document_ids=None if ids is None else tuple(row_id("Document", each) for each in ids),
        sources=tuple_if_given(given.sources),
        any_tags=tuple_if_given(given.tags.any) if given.tags else None,
        all_tags=tuple_if_given(given.tags.all) if given.tags else None,
        metadata=tuple(_condition(each) for each in given.metadata or ()),
    )


def _condition(given: MetadataConditionInput) -> search_settings.MetadataCondition:
    any_of = if_given(given.any_of)
    return search_settings.MetadataCondition(
        key=given.key,
        equals=_value(given.equals),
        any_of=None if any_of is None else tuple(map(_present, any_of)),
        exists=if_given(given.exists),
        at_least=_bound(given.at_least),
        at_most=_bound(given.at_most),
    )


def _value(given: object) -> search_settings.MetadataValue | None:
    return None if if_given(given) is None else _present(given)


def _present(given: object) -> search_settings.MetadataValue:
    if isinstance(given, str | bool | int | float):
        return given
    raise InvalidInput.at("filter", "Metadata is compared with a text, a number, true or false.")


def _bound(given: object) -> str | int | float | None:
    if if_given(given) is None:
        return None
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        return given
    raise InvalidInput.at("filter", "`gte` and `lte` take a number or a text.")


def _list(given: "tuple[T, ...] | None") -> "list[T] | None":
    return None if given is None else list(given)
