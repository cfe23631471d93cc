"""The languages whose words are stemmed, and a guess at which one a text in Latin script is in."""

import re
from collections import Counter
from enum import StrEnum
from itertools import chain

from kyrochat.retrieval.stopwords import STOPWORDS


class Language(StrEnum):
    """What a bot's documents can be said to be in; values are Snowball's names.

    Their order is stored with the vectors (see `encodings`): new ones go to the end.
    """

    AUTO = "auto"
    NONE = "none"
    ENGLISH = "english"
    GERMAN = "german"
    SPANISH = "spanish"
    FRENCH = "french"
    ITALIAN = "italian"
    PORTUGUESE = "portuguese"
    DUTCH = "dutch"
    SWEDISH = "swedish"
    NORWEGIAN = "norwegian"
    DANISH = "danish"
    FINNISH = "finnish"
    ESTONIAN = "estonian"
    LITHUANIAN = "lithuanian"
    POLISH = "polish"
    CZECH = "czech"
    HUNGARIAN = "hungarian"
    ROMANIAN = "romanian"
    TURKISH = "turkish"
    CATALAN = "catalan"
    BASQUE = "basque"
    IRISH = "irish"
    INDONESIAN = "indonesian"
    VIETNAMESE = "vietnamese"
    RUSSIAN = "russian"
    SERBIAN = "serbian"
    GREEK = "greek"
    ARMENIAN = "armenian"
    ARABIC = "arabic"
    PERSIAN = "persian"
    HINDI = "hindi"
    NEPALI = "nepali"
    TAMIL = "tamil"
    CHINESE = "chinese"
    JAPANESE = "japanese"
    KOREAN = "korean"
    THAI = "thai"


AUTO = Language.AUTO.value
"""In place of a language's name: guess from each text."""

DEFAULT_LANGUAGE = "english"
MAX_READ_CHARS = 4_000
MIN_SHARE = 0.1
"""Of a text's different words that must be function words of the guessed language."""

_AFTER_LATIN = "\u0370"
_WORD = re.compile(r"[^\W\d_]{2,}")
_ASCII_WORD = re.compile("[a-z]{2,}")
_ORDER = {_language: _place for _place, _language in enumerate(STOPWORDS)}
_LANGUAGES_BY_WORD: dict[str, list[str]] = {}
for _language, _words in STOPWORDS.items():
    for _word in _words:
        _LANGUAGES_BY_WORD.setdefault(_word, []).append(_language)


def guess_language(text: str, default: str = DEFAULT_LANGUAGE) -> str:
    """Return Snowball's name of the language whose function words the text has most of.

    Only the beginning is read. A tie, or a text without function words, gives `default`.
    """
    beginning = text[:MAX_READ_CHARS].lower()
    if beginning.isascii():
        # The letters that surround digits and underscores are words of their own for both expressions.
        words = set(_ASCII_WORD.findall(beginning))
    else:
        words = set(_WORD.findall(beginning))
        if 2 * sum(word < _AFTER_LATIN or "\u1e00" <= word <= "\u1eff" for word in words) < len(words):
            return default  # other scripts tell their stemmer themselves
    known = words & _LANGUAGES_BY_WORD.keys()
    votes = Counter(chain.from_iterable(map(_LANGUAGES_BY_WORD.__getitem__, known)))
    if not votes:
        return default
    # Of two that are equal the one that is listed first: by the order of a set it would differ between processes.
    language, count = max(votes.items(), key=lambda vote: (vote[1], -_ORDER[vote[0]]))
    return language if count > max(votes[default], MIN_SHARE * len(words)) else default


def resolve_language(language: str, text: str) -> str:
    """Return `language`, or the text's own where it says `AUTO`."""
    return guess_language(text) if language == AUTO else language
