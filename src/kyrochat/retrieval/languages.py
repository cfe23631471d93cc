"""Guesses which language a text in Latin script is in, from its function words."""

import re
from collections import Counter

from kyrochat.retrieval.stopwords import STOPWORDS

AUTO = "auto"
"""In place of a language's name: guess from each text."""

DEFAULT_LANGUAGE = "english"
MAX_READ_CHARS = 4_000
MIN_SHARE = 0.1
"""Of a text's different words that must be function words of the guessed language."""

_AFTER_LATIN = "\u0370"
_WORD = re.compile(r"[^\W\d_]{2,}")
_LANGUAGES_BY_WORD: dict[str, list[str]] = {}
for _language, _words in STOPWORDS.items():
    for _word in _words:
        _LANGUAGES_BY_WORD.setdefault(_word, []).append(_language)


def guess_language(text: str, default: str = DEFAULT_LANGUAGE) -> str:
    """Return Snowball's name of the language whose function words the text has most of.

    Only the beginning is read. A tie, or a text without function words, gives `default`.
    """
    words = set(_WORD.findall(text[:MAX_READ_CHARS].lower()))  # a set: "Los Angeles" ten times is not Spanish
    if 2 * sum(word < _AFTER_LATIN or "\u1e00" <= word <= "\u1eff" for word in words) < len(words):
        return default  # other scripts tell their stemmer themselves
    votes: Counter[str] = Counter()
    for word in words:
        for language in _LANGUAGES_BY_WORD.get(word, ()):
            votes[language] += 1
    if not votes:
        return default
    language, count = votes.most_common(1)[0]
    return language if count > max(votes[default], MIN_SHARE * len(words)) else default


def resolve_language(language: str, text: str) -> str:
    """Return `language`, or the text's own where it says `AUTO`."""
    return guess_language(text) if language == AUTO else language
