"""Seals secrets that are needed again, such as keys for other people's servers: AES-256-GCM under the secret key."""

import os
from dataclasses import dataclass, field

from kyrochat.signing.keys import SecretKeys, derived_key

_NONCE_BYTES = 12


class Unsealable(Exception):
    """It was sealed under a key that is not known any more, or for something else."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals under the current key, and opens what was sealed under the previous one, too."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, keys: SecretKeys, purpose: str) -> "Sealer":
        """Return one whose key is for one purpose."""
        previous = None if keys.previous is None else derived_key(keys.previous, purpose)
        return cls(keys.derive(purpose), previous)

    def seal(self, secret: bytes, owner: bytes) -> bytes:
        """Return the secret, sealed; `owner` tells what it belongs to, and is needed again to open it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.current).encrypt(nonce, secret, owner)

    def open(self, sealed: bytes, owner: bytes) -> bytes:
        """Return the secret.

        Raises:
            Unsealable: the key is gone, or it belongs to something else.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        for key in (self.current, self.previous):
            if key is not None:
                try:
                    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner)
                except (InvalidTag, ValueError):
                    continue
        raise Unsealable
