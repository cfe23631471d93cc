"""Access tokens (signed, short) and refresh tokens (random, stored as a hash)."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt

from kyrochat.errors import Unauthenticated
from kyrochat.signing.keys import derived_key, key_id

ACCESS_LIFETIME = timedelta(minutes=15)
EXPORT_LIFETIME = timedelta(minutes=5)
ISSUER = "kyrochat"
AUDIENCE = "kyrochat-api"
LEEWAY_S = 30
REFRESH_PREFIX = "kcr_"
KEY_PREFIX = "kck_"
INVITATION_PREFIX = "kci_"
RESET_PREFIX = "kcp_"
SHARE_PREFIX = "kcs_"
# All that a token can be which is not one of ours.
_INVALID = (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    user_id: UUID
    session_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Tokens:
    """Makes tokens with a key derived from the secret, and reads those of the previous secret too."""

    secret: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    def access_token(self, user_id: UUID, session_id: UUID) -> tuple[str, datetime]:
        """Return a signed token and when it expires."""
        return self._signed("access", user_id, session_id, ACCESS_LIFETIME)

    def read_access_token(self, token: str) -> Claims:
        """Return what the token says.

        Raises:
            Unauthenticated: it is not ours, not an access token, or expired.
        """
        try:
            return self._read("access", token)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The access token has expired. Call `refreshSession`.") from error
        except _INVALID as error:
            raise Unauthenticated("The access token is not valid. Sign in again.") from error

    def export_token(self, user_id: UUID, session_id: UUID) -> tuple[str, datetime]:
        """Return a token for the link to an archive, and when it expires. It is good for nothing else."""
        return self._signed("export", user_id, session_id, EXPORT_LIFETIME)

    def read_export_token(self, token: str) -> Claims:
        """Return what the token of a link says.

        Raises:
            Unauthenticated: it is not ours, not an export token, or expired.
        """
        try:
            return self._read("export", token)
        except _INVALID as error:
            raise Unauthenticated("This link is not good any more. Call `exportAccount` for another.") from error

    def _signed(self, kind: str, user_id: UUID, session_id: UUID, lifetime: timedelta) -> tuple[str, datetime]:
        now = datetime.now(UTC)
        expires_at = (now + lifetime).replace(microsecond=0)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": uuid4().hex,
            "typ": kind,
            "iat": now,
            "exp": expires_at,
        }
        # Each kind has a key of its own, so that no token passes for one of another kind.
        key, headers = derived_key(self.secret, kind), {"kid": key_id(self.secret)}
        return jwt.encode(claims, key, algorithm="HS256", headers=headers), expires_at

    def _read(self, kind: str, token: str) -> Claims:
        claims = jwt.decode(
            token,
            derived_key(self._signed_with(token), kind),
            algorithms=["HS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iat", "sub", "jti", "sid", "typ"]},
        )
        if claims["typ"] != kind:
            raise jwt.InvalidTokenError(f"This is not of the kind {kind}.")
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        return Claims(UUID(claims["sub"]), UUID(claims["sid"]), expires_at)

    def next_refresh_tokens(self, used: bytes) -> list[str]:
        """Return what takes the place of the refresh token with this hash: always the same.

        So it can be told again to whoever did not hear it, and is stored nowhere. Without the secret nobody can tell
        it from the hash. After the first one comes what the previous secret would have made.
        """
        secrets_ = [self.secret] if self.previous is None else [self.secret, self.previous]
        return [REFRESH_PREFIX + _letters(hmac.digest(derived_key(one, "refresh"), used, "sha256")) for one in secrets_]

    def _signed_with(self, token: str) -> bytes:
        """Return the secret that the token names; of no or another name it is the current one, which will not fit."""
        if self.previous is not None and jwt.get_unverified_header(token).get("kid") == key_id(self.previous):
            return self.previous
        return self.secret


def new_secret(prefix: str) -> str:
    """Return 256 random bits in URL-safe letters, with a prefix that people and secret scanners can know."""
    return prefix + _letters(secrets.token_bytes(32))


def _letters(bits: bytes) -> str:
    return base64.urlsafe_b64encode(bits).rstrip(b"=").decode()


def secret_hash(secret: str) -> bytes:
    """Return what is stored of a secret; a plain hash suffices for 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
