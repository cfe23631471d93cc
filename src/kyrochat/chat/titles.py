"""What a conversation is called that nobody gave a name."""

DERIVED_TITLE_CHARS = 60


def derived_title(question: str) -> str:
    """Return the start of its first question, cut between two words."""
    words = " ".join(question.split())
    if len(words) <= DERIVED_TITLE_CHARS:
        return words
    start = words[:DERIVED_TITLE_CHARS]
    return (start.rpartition(" ")[0] or start).rstrip(",;:") + " …"
