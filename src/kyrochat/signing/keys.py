"""The secret key, what is derived from it, and when one is no secret."""

import hmac
from dataclasses import dataclass, field
from itertools import pairwise

MIN_KEY_BYTES = 32
# Random text in hexadecimal digits has twelve different ones or more, in decimal digits nine or ten.
MIN_DIFFERENT = 8
# Letters and digits only, in lower case: what people write where a key should be.
PLACEHOLDERS = (
    "changeme", "changethis", "replaceme", "replacethis", "yoursecret", "mysecret", "supersecret", "secretkey",
    "notsecret", "password", "passphrase", "insecure", "placeholder", "example", "kyrochat", "testtest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SecretKeys:
    """The key that signs, and the one before it, which is still believed."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose, from the current key."""
        return derived_key(self.current, purpose)


def derived_key(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes for one purpose, which tell nothing about the secret or about those for another purpose."""
    return hmac.digest(secret, f"kyrochat {purpose}".encode(), "sha256")


def key_id(secret: bytes) -> str:
    """Return a name for the key that may be shown: tokens carry it, and the database remembers it."""
    return derived_key(secret, "key id")[:8].hex()


def weakness(secret: bytes) -> str | None:
    """Return why a key may be guessed, as the end of a sentence; None when nothing tells against it."""
    if len(secret) < MIN_KEY_BYTES:
        return f"is shorter than {MIN_KEY_BYTES} bytes"
    words = "".join(chr(byte) for byte in secret.lower() if chr(byte).isalnum())
    if any(placeholder in words for placeholder in PLACEHOLDERS):
        return "looks like a placeholder"
    steps = {(after - before) % 256 for before, after in pairwise(secret)}
    if min(len(set(secret)), len(steps)) < MIN_DIFFERENT or _repeats(secret):
        return "is not random"
    return None


def _repeats(secret: bytes) -> bool:
    """Say whether it is a shorter piece again and again."""
    return any(secret[length:] == secret[:-length] for length in range(1, len(secret) // 2 + 1))
