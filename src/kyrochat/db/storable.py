"""Texts that nobody has checked, such as a model's, as PostgreSQL can hold them."""


def storable(text: str) -> str:
    """Return the text without NUL characters and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode()
