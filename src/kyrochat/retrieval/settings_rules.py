"""What a search may ask for."""

from collections.abc import Iterable

from kyrochat.retrieval.search_settings import DocumentFilter, Leg, MetadataCondition, SearchSettings
from kyrochat.rules import Rules

MAX_TOP_K = 50
MAX_DOCUMENTS = 100
MAX_TAGS = 20
MAX_CONDITIONS = 10
MAX_VALUES = 50
MAX_VALUE_CHARS = 500
MAX_KEY_CHARS = 64


def check_settings(rules: Rules, settings: SearchSettings) -> None:
    """Note what is wrong with the settings."""
    if settings.top_k is not None:
        rules.number("topK", settings.top_k, least=1, most=MAX_TOP_K)
    if settings.min_score is not None:
        rules.number("minScore", settings.min_score, least=0, most=1)
    if settings.alpha is not None:
        rules.number("alpha", settings.alpha, least=0, most=1)
    if settings.legs is not None and not {Leg.LEXICAL, Leg.DENSE} & set(settings.legs):
        rules.add("legs", "Neither LEXICAL nor DENSE is among them, so nothing can be found.")
    check_filter(rules, settings.filter)


def check_filter(rules: Rules, wanted: DocumentFilter) -> None:
    """Note at `filter` what is wrong with a filter."""
    if len(wanted.document_ids or ()) > MAX_DOCUMENTS:
        rules.add(
            "filter", f"It names {len(wanted.document_ids or ())} documents; at most {MAX_DOCUMENTS} are allowed."
        )
    tags = (*(wanted.any_tags or ()), *(wanted.all_tags or ()))
    if len(tags) > MAX_TAGS:
        rules.add("filter", f"It names {len(tags)} tags; at most {MAX_TAGS} are allowed.")
    if len(wanted.metadata) > MAX_CONDITIONS:
        rules.add(
            "filter", f"It has {len(wanted.metadata)} conditions on metadata; at most {MAX_CONDITIONS} are allowed."
        )
    for condition in wanted.metadata[:MAX_CONDITIONS]:
        _check_condition(rules, condition)
    if not _storable(tags):
        rules.add("filter", "A tag holds a NUL character, half of a surrogate pair, or too much text.")


def _check_condition(rules: Rules, condition: MetadataCondition) -> None:
    given = (condition.equals, condition.any_of, condition.exists, condition.at_least, condition.at_most)
    if all(each is None for each in given):
        rules.add(
            "filter",
            f"The condition on {condition.key[:MAX_KEY_CHARS]!r} says nothing. Give equals, in, exists, gte or lte.",
        )
    if not 1 <= len(condition.key) <= MAX_KEY_CHARS:
        rules.add("filter", f"A key of metadata has 1 to {MAX_KEY_CHARS} characters.")
    if len(condition.any_of or ()) > MAX_VALUES:
        rules.add("filter", f"`in` has {len(condition.any_of or ())} values; at most {MAX_VALUES} are allowed.")
    values = (condition.key, condition.equals, condition.at_least, condition.at_most, *(condition.any_of or ()))
    if not _storable(value for value in values if isinstance(value, str)):
        rules.add("filter", "A value holds a NUL character, half of a surrogate pair, or too much text.")


def _storable(texts: Iterable[str]) -> bool:
    return all(
        len(text) <= MAX_VALUE_CHARS
        and "\x00" not in text
        and not any("\ud800" <= character <= "\udfff" for character in text)
        for text in texts
    )
