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
ISSUER = "kyrochat"
AUDIENCE = "kyrochat-api"
LEEWAY_S = 30
REFRESH_PREFIX = "kcr_"
KEY_PREFIX = "kck_"
INVITATION_PREFIX = "kci_"
RESET_PREFIX = "kcp_"


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a valid access token says."""

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
        now = datetime.now(UTC)
        expires_at = (now + ACCESS_LIFETIME).replace(microsecond=0)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": uuid4().hex,
            "typ": "access",
            "iat": now,
            "exp": expires_at,
        }
        key, headers = derived_key(self.secret, "access"), {"kid": key_id(self.secret)}
        return jwt.encode(claims, key, algorithm="HS256", headers=headers), expires_at

    def read_access_token(self, token: str) -> AccessClaims:
        """Return what the token says.

        Raises:
            Unauthenticated: it is not ours, not an access token, or expired.
        """
        try:
            claims = jwt.decode(
                token,
                derived_key(self._signed_with(token), "access"),
                algorithms=["HS256"],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iat", "sub", "jti", "sid", "typ"]},
            )
            if claims["typ"] != "access":
                raise Unauthenticated("This is not an access token.")
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            return AccessClaims(UUID(claims["sub"]), UUID(claims["sid"]), expires_at)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The access token has expired. Call `refreshSession`.") from error
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            raise Unauthenticated("The access token is not valid. Sign in again.") from error

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
