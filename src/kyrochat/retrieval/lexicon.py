"""What a bot's chunks are like on the whole: how many of a sample hold each term."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log

FORMAT_VERSION = 1
MAX_NEIGHBOURS = 8
MIN_TYPO_CHARS = 4
MAX_TYPO_CHARS = 24
MAX_ENDING_CHARS = 5
MAX_ALPHABET = 48
"""Letters tried at each place of a misspelt term, the vocabulary's most frequent ones: an alphabet and more."""

MAX_BYTES_UNPACKED = 64 * 1024 * 1024
_HEADER = struct.Struct(">BII")


@dataclass(frozen=True)
class Lexicon:
    """Document frequencies in a sample of a bot's chunks; `chunk_count` is how many chunks there were in all.

    A stale or small sample is harmless: 500 random chunks rank as well as all of them.
    """

    chunk_count: int
    sample_count: int
    frequencies: Mapping[str, int]

    @classmethod
    def build(cls, token_lists: Iterable[Iterable[str]], chunk_count: int | None = None) -> "Lexicon":
        """Count the terms of sampled chunks; without `chunk_count` the sample is all there is."""
        sample_count = 0
        frequencies: Counter[str] = Counter()
        for tokens in token_lists:
            sample_count += 1
            frequencies.update(set(tokens))
        return cls(sample_count if chunk_count is None else chunk_count, sample_count, dict(frequencies))

    def __contains__(self, term: object) -> bool:
        return term in self.frequencies

    def idf(self, term: str) -> float:
        """Return how rare a term is, always above 0; in an empty sample all terms weigh the same."""
        frequency = self.frequencies.get(term, 0)
        return log(1 + (self.sample_count - frequency + 0.5) / (frequency + 0.5))

    def neighbours(self, term: str) -> list[str]:
        """Return known terms that are one insertion, deletion, replacement or swap away, most frequent first.

        If there is none, the longest known beginning is taken: with an error in its ending, a word is stemmed
        otherwise, or not at all. Short terms, numbers and very long terms have no neighbours.
        """
        if not MIN_TYPO_CHARS <= len(term) <= MAX_TYPO_CHARS or not term.isalpha():
            return []
        found = {near for near in self._one_edit_away(term) if near in self.frequencies and near != term}
        if not found:
            shortest = max(MIN_TYPO_CHARS, len(term) - MAX_ENDING_CHARS)
            beginnings = (term[:length] for length in range(len(term) - 1, shortest - 1, -1))
            return [near for near in beginnings if near in self.frequencies][:1]
        return sorted(found, key=lambda near: (-self.frequencies[near], near))[:MAX_NEIGHBOURS]

    def corrected(self, terms: Iterable[str]) -> list[str]:
        """Return the terms, each unknown one replaced by the commonest known one that is one edit away, if any is."""
        return [term if term in self else next(iter(self.neighbours(term)), term) for term in terms]

    def to_bytes(self) -> bytes:
        """Return a compact form: version and counts, then packed terms (sorted, one a line) and frequencies."""
        terms = sorted(self.frequencies)
        counts = struct.pack(f">{len(terms)}I", *(self.frequencies[term] for term in terms))
        words = "\n".join(terms).encode("utf-8", "surrogatepass")
        body = struct.pack(">I", len(terms)) + counts + words
        return _HEADER.pack(FORMAT_VERSION, self.chunk_count, self.sample_count) + zlib.compress(body, 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Lexicon":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: these are no lexicon's bytes, or another version wrote them; build it anew.
        """
        try:
            version, chunk_count, sample_count = _HEADER.unpack_from(data)
            if version != FORMAT_VERSION:
                raise ValueError(f"lexicon format {version}, expected {FORMAT_VERSION}")
            unpacker = zlib.decompressobj()
            body = unpacker.decompress(data[_HEADER.size :], MAX_BYTES_UNPACKED)
            if not unpacker.eof:
                raise ValueError("lexicon is cut off or too large")
            (count,) = struct.unpack_from(">I", body)
            frequencies = struct.unpack_from(f">{count}I", body, 4)
            words = body[4 + 4 * count :].decode("utf-8", "surrogatepass")
            terms = words.split("\n") if count else []
            return cls(chunk_count, sample_count, dict(zip(terms, frequencies, strict=True)))
        except (struct.error, zlib.error) as error:
            raise ValueError(f"not a lexicon: {error}") from error

    @cached_property
    def _alphabet(self) -> str:
        letters = Counter(letter for term in self.frequencies for letter in set(term) if letter.isalpha())
        return "".join(letter for letter, _ in letters.most_common(MAX_ALPHABET))

    def _one_edit_away(self, term: str) -> Iterable[str]:
        for i in range(len(term) + 1):
            head, tail = term[:i], term[i:]
            for letter in self._alphabet:
                yield head + letter + tail
                if tail:
                    yield head + letter + tail[1:]
            if tail:
                yield head + tail[1:]
            if len(tail) > 1:
                yield head + tail[1] + tail[0] + tail[2:]
