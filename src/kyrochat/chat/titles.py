"""What a conversation is called that nobody gave a name."""

import re

DERIVED_TITLE_CHARS = 60
_AROUND = " \t\"'`*_#<>“”„‚‘’«»「」.:-"
_LABEL = re.compile(r"(?:title|titel|titre|título)\s*[:\-]\s*", re.IGNORECASE)


def derived_title(question: str) -> str:
    """Return the start of its first question, cut between two words."""
    words = " ".join(question.split())
    if len(words) <= DERIVED_TITLE_CHARS:
        return words
    start = words[:DERIVED_TITLE_CHARS]
    return (start.rpartition(" ")[0] or start).rstrip(",;:") + " …"


def tidied_title(written: str) -> str:
    """Return what a model wrote as a title: one line without marks around it, not too long; '' for none."""
    clean = "".join(character for character in written if character.isprintable() or character.isspace())
    lines = [line for line in clean.splitlines() if line.strip(_AROUND)]
    if not lines:
        return ""
    bare = _LABEL.sub("", lines[0].strip(_AROUND), count=1)
    return derived_title(bare.strip(_AROUND))
