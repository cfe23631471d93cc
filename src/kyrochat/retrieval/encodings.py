"""Which rules turned a chunk into its vector. Only vectors of the same rules may be compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID
from zlib import crc32

from kyrochat.retrieval.languages import AUTO, Language
from kyrochat.retrieval.lexical import ENCODER_VERSION, chunk_tokens, encode_tokens, query_weights
from kyrochat.retrieval.lexicon import Lexicon
from kyrochat.retrieval.tokens import tokenize
from kyrochat.retrieval.types import SparseVector

SALTED_ABOVE = 50_000
"""Chunks of a bot beyond which each question reads the rows of its rare terms only, and not all that the bot has."""

SALTED_UNTIL = 30_000
"""Below that they are scanned again. Lower, or a bot about that large would be encoded anew time and again."""

_VERSION, _LANGUAGE = 1_024, 2
_LANGUAGES = tuple(Language)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The rules of some vectors: the encoder's version, the language it was told, and whether terms are listed too.

    `number` is how rows name them: other rules never have the same one.
    """

    encoder_version: int = ENCODER_VERSION
    language: str = AUTO
    salted: bool = False

    @property
    def number(self) -> int:
        """The version times 1,024, plus twice the language's place in `Language`, plus one if terms are listed."""
        return self.encoder_version * _VERSION + _LANGUAGES.index(Language(self.language)) * _LANGUAGE + self.salted

    @classmethod
    def from_number(cls, number: int) -> "Encoding":
        """Read what `number` gave. A language that only a newer program knows becomes `AUTO`."""
        version, rest = divmod(number, _VERSION)
        place, salted = divmod(rest, _LANGUAGE)
        return cls(version, _LANGUAGES[place].value if place < len(_LANGUAGES) else AUTO, bool(salted))

    def salt(self, bot_id: UUID, vector: SparseVector) -> list[int]:
        """Return the vector's terms as numbers of 32 bits that mean nothing in another bot or encoding.

        One index holds those of all bots: with the bare terms, each question would wade through everybody's.
        """
        seed = crc32(bot_id.bytes + self.number.to_bytes(4, "big"))
        return [crc32(index.to_bytes(4, "big"), seed) - 2**31 for index in vector.indices]


@dataclass(frozen=True, slots=True)
class Encoder:
    """One version's way from texts to vectors; `lexical` says what each step does."""

    version: int = ENCODER_VERSION
    tokenize: Callable[[str, str], list[str]] = tokenize
    chunk_tokens: Callable[[str, str, str, str | None], list[str]] = chunk_tokens
    encode_tokens: Callable[[list[str]], SparseVector] = encode_tokens
    query_weights: Callable[[str, Lexicon, str], dict[str, float]] = query_weights

    def encode_chunk(self, title: str, text: str, language: str, heading: str | None) -> SparseVector:
        """Return the document side of BM25 for a chunk."""
        return self.encode_tokens(self.chunk_tokens(title, text, language, heading))


@dataclass(frozen=True, slots=True)
class Encoders:
    """The versions that this program knows. A new one is put beside the old, which bots need until they are encoded
    anew; the greatest is the one to have."""

    known: Mapping[int, Encoder] = field(default_factory=lambda: MappingProxyType({ENCODER_VERSION: Encoder()}))
    salted_above: int = SALTED_ABOVE
    salted_until: int = SALTED_UNTIL

    @property
    def current(self) -> Encoder:
        """The one for everything new."""
        return self.known[max(self.known)]

    def of(self, encoding: Encoding) -> Encoder:
        """Return what speaks the encoding's version; for one that this program does not know, the nearest it has."""
        return self.known.get(encoding.encoder_version, self.current)

    def wanted(self, language: str, chunk_count: int, live: Encoding) -> Encoding:
        """Return the encoding that a bot of that language and size should have, when `live` is what it has.

        A newer version than is known here stays: another process of a newer program made it.
        """
        version = max(self.current.version, live.encoder_version)
        until = min(self.salted_until, self.salted_above)
        salted = chunk_count > (until if live.salted else self.salted_above)
        return Encoding(version, language, salted)


ENCODERS = Encoders()
