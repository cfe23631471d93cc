"""Filters of questions: the words of the API's `DocumentFilterInput`, but for ids, which no other server has."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kyrochat.db.states import DocumentSource
from kyrochat.errors import InvalidInput
from kyrochat.retrieval.search_settings import DocumentFilter, MetadataCondition, MetadataValue
from kyrochat.retrieval.settings_rules import check_filter
from kyrochat.rules import Rules


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Tags(_Part):
    any: tuple[str, ...] | None = None
    all: tuple[str, ...] | None = None


class _Condition(_Part):
    key: str
    equals: MetadataValue | None = None
    any_of: tuple[MetadataValue, ...] | None = Field(default=None, alias="in")
    exists: bool | None = None
    gte: str | int | float | None = None
    lte: str | int | float | None = None


class _Filter(_Part):
    sources: tuple[DocumentSource, ...] | None = None
    tags: _Tags = _Tags()
    metadata: tuple[_Condition, ...] = ()


def read_filter(data: Mapping[str, Any]) -> DocumentFilter:
    """Return the filter that JSON tells of.

    Raises:
        InvalidInput: it is none.
    """
    try:
        told = _Filter.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput.at("filter", f"{where}: {first['msg']}.") from error
    conditions = tuple(
        MetadataCondition(each.key, each.equals, each.any_of, each.exists, each.gte, each.lte) for each in told.metadata
    )
    found = DocumentFilter(None, told.sources, told.tags.any, told.tags.all, conditions)
    rules = Rules()
    check_filter(rules, found)
    rules.enforce()
    return found
