"""Access tokens: what we signed and nothing else."""

import base64
import hmac
import json
import warnings
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import jwt.warnings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.accounts.tokens import ACCESS_LIFETIME, LEEWAY_S, REFRESH_PREFIX, Claims, Tokens, new_secret
from kyrochat.errors import Unauthenticated
from kyrochat.signing.keys import derived_key, key_id
from tests.accounts.conftest import SECRET

USER, SESSION = UUID(int=1), UUID(int=2)
KEY = derived_key(SECRET, "access")


def signed(key: bytes | None = KEY, algorithm: str = "HS256", **claims: object) -> str:
    """A token as ours, but for what is given; a claim of None is left out."""
    now = datetime.now(UTC)
    usual: dict[str, object] = {
        "iss": "kyrochat",
        "aud": "kyrochat-api",
        "sub": str(USER),
        "sid": str(SESSION),
        "jti": uuid4().hex,
        "typ": "access",
        "iat": now,
        "exp": now + timedelta(minutes=5),
    }
    chosen = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    with warnings.catch_warnings(action="ignore", category=jwt.warnings.InsecureKeyLengthWarning):
        return jwt.encode(chosen, key, algorithm=algorithm)  # type: ignore[arg-type]  # None, for none


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_says_whose_it_is_and_when_it_ends(tokens: Tokens) -> None:
    token, expires_at = tokens.access_token(USER, SESSION)

    assert tokens.read_access_token(token) == Claims(USER, SESSION, expires_at)
    assert timedelta(0) < ACCESS_LIFETIME - (expires_at - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_hand_made_token_of_the_same_kind_is_taken_so_the_refusals_below_mean_something(tokens: Tokens) -> None:
    assert tokens.read_access_token(signed()).user_id == USER


past = datetime.now(UTC) - timedelta(seconds=LEEWAY_S + 60)
future = datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(signed(exp=past), id="expired"),
        pytest.param(signed(exp=None), id="for ever"),
        pytest.param(signed(exp="soon"), id="exp is a word"),
        pytest.param(signed(exp=10**30), id="exp beyond all calendars"),
        pytest.param(signed(exp=-1), id="exp before all calendars"),
        pytest.param(signed(iat=None), id="no iat"),
        pytest.param(signed(iat=future), id="not issued yet"),
        pytest.param(signed(nbf=future), id="not valid yet"),
        pytest.param(signed(sub=None), id="no user"),
        pytest.param(signed(sub="me"), id="user is no id"),
        pytest.param(signed(sid=None), id="no session"),
        pytest.param(signed(sid=7), id="session is a number"),
        pytest.param(signed(sid=["x"]), id="session is a list"),
        pytest.param(signed(jti=None), id="no id"),
        pytest.param(signed(typ="refresh"), id="a refresh token"),
        pytest.param(signed(typ=None), id="of no type"),
        pytest.param(signed(iss="somebody"), id="another issuer"),
        pytest.param(signed(aud="somebody"), id="for somebody else"),
        pytest.param(signed(aud=None), id="for nobody"),
        pytest.param(signed(key=b"k" * 32), id="another key"),
        pytest.param(signed(key=SECRET), id="signed with the secret itself"),
        pytest.param(signed(algorithm="HS512"), id="another algorithm"),
        pytest.param(signed(key=None, algorithm="none"), id="algorithm none"),
        pytest.param(f"{part({'alg': 'none', 'typ': 'JWT'})}.{signed().partition('.')[2]}", id="header says none"),
        pytest.param(signed().rpartition(".")[0] + ".", id="signature cut off"),
        pytest.param(f"{part({'alg': 'None', 'typ': 'JWT'})}.{signed().split('.')[1]}.", id="none, spelt otherwise"),
        pytest.param(f"{part([])}.{part({})}.x", id="header is a list"),
        pytest.param(f"{part('[' * 10)}.{part({})}.x", id="header is a string"),
        pytest.param(base64.urlsafe_b64encode(b"[" * 150_000).decode() + ".e30.x", id="header nested 150,000 deep"),
        pytest.param(base64.urlsafe_b64encode(b'{"a":' * 50_000).decode() + ".e30.x", id="header of objects"),
        pytest.param(new_secret(REFRESH_PREFIX), id="a refresh token's letters"),
        pytest.param("", id="nothing"),
        pytest.param("..", id="dots"),
        pytest.param("a.b.c", id="letters"),
        pytest.param("\x00", id="NUL"),
        pytest.param("\ud800.\ud800.\ud800", id="lone surrogates"),
        pytest.param("é" * 100_000, id="100,000 accents"),
    ],
)
def test_what_we_did_not_sign_like_this_is_refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.read_access_token(token)
    with pytest.raises(Unauthenticated):
        Tokens(SECRET, previous=b"another secret, from before a rotation").read_access_token(token)


def test_clocks_may_differ_by_the_leeway(tokens: Tokens) -> None:
    now = datetime.now(UTC)

    assert tokens.read_access_token(signed(exp=now - timedelta(seconds=LEEWAY_S - 15))).session_id == SESSION
    assert tokens.read_access_token(signed(iat=now + timedelta(seconds=LEEWAY_S - 15))).session_id == SESSION


@given(st.data())
def test_a_token_changed_anywhere_is_refused(data: st.DataObject) -> None:
    tokens = Tokens(SECRET)
    token, _ = tokens.access_token(USER, SESSION)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "))
    changed = token[:place] + letter + token[place + 1 :]
    # The last letter of a part carries bits that base64 does not use.
    if changed == token or place + 1 == len(token) or token[place + 1] == ".":
        return

    with pytest.raises(Unauthenticated):
        tokens.read_access_token(changed)


@given(st.text() | st.text(alphabet='eyJhbGciOi.{}[]"\\0123456789', max_size=200))
def test_any_text_is_refused_in_the_same_way(text: str) -> None:
    with pytest.raises(Unauthenticated):
        Tokens(SECRET).read_access_token(text)


def test_two_secrets_share_nothing() -> None:
    token, _ = Tokens(b"one secret, long enough to be taken").access_token(USER, SESSION)

    with pytest.raises(Unauthenticated):
        Tokens(b"two secret, long enough to be taken").read_access_token(token)


OLD, NEW = b"the secret before the rotation, long enough", b"the secret after the rotation, long enough"


def test_after_a_rotation_tokens_of_both_keys_are_taken_and_new_ones_are_of_the_new_key() -> None:
    old, new = Tokens(OLD), Tokens(NEW, previous=OLD)
    before, _ = old.access_token(USER, SESSION)

    after, _ = new.access_token(USER, SESSION)

    assert new.read_access_token(before) == old.read_access_token(before)
    assert new.read_access_token(after).user_id == USER
    assert [jwt.get_unverified_header(token)["kid"] for token in (before, after)] == [key_id(OLD), key_id(NEW)]
    # Who does not know the new key yet, or not the old one any more, does not take what it signed.
    for tokens, token in ((old, after), (Tokens(NEW), before)):
        with pytest.raises(Unauthenticated):
            tokens.read_access_token(token)


@pytest.mark.parametrize("key_name", [key_id(OLD), key_id(NEW), "", "../secret.key", None, 7, ["x"]])
def test_the_name_of_a_key_opens_nothing_by_itself(key_name: object) -> None:
    claims = jwt.decode(Tokens(NEW).access_token(USER, SESSION)[0], options={"verify_signature": False})
    foreign = derived_key(b"a secret of somebody else, long enough", "access")

    header = {"alg": "HS256", "typ": "JWT", "kid": key_name}
    signing_input = f"{part(header)}.{part(claims)}"
    signature = base64.urlsafe_b64encode(hmac.digest(foreign, signing_input.encode(), "sha256")).rstrip(b"=").decode()

    with pytest.raises(Unauthenticated):
        Tokens(NEW, previous=OLD).read_access_token(f"{signing_input}.{signature}")
