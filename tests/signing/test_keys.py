"""Keys that may be guessed are found out, and those that programs make are not."""

import secrets

import pytest

from kyrochat.signing.keys import SecretKeys, derived_key, key_id, weakness

KEY = b"2f3a86c0d1e94b57a86f20e7b1c5d493"


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"", "is shorter than 32 bytes"),
        (b"hunter2", "is shorter than 32 bytes"),
        pytest.param(secrets.token_bytes(31), "is shorter than 32 bytes", id="31 random bytes"),
        (b"x" * 64, "is not random"),
        (b"\x00" * 64, "is not random"),
        (b"0123456789abcdef" * 2, "is not random"),
        (b"correct horse battery " * 3, "is not random"),
        (b"2f3a86c0d1e94b572f3a86c0d1e94b572f3a86", "is not random"),
        (b"abcdefghijklmnopqrstuvwxyz0123456789", "is not random"),
        (b"1234567812345678123456781234567812", "is not random"),
        (b"00000000000000000000000000002f3a86", "is not random"),
        (b"change-me-change-me-change-me-change-me", "looks like a placeholder"),
        (b"CHANGE_ME_please_this_is_not_a_real_key", "looks like a placeholder"),
        (b"a-very-long-password-that-somebody-made-up", "looks like a placeholder"),
        (b"your-secret-goes-here-0123456789-abcdef", "looks like a placeholder"),
        (b"django-insecure-9s8d7f6g5h4j3k2l1z0x9c8v", "looks like a placeholder"),
    ],
)
def test_what_may_be_guessed_is_told(secret: bytes, why: str) -> None:
    assert weakness(secret) == why


def test_what_programs_make_is_taken() -> None:
    for _ in range(2_000):
        made = [secrets.token_bytes(32), secrets.token_hex(16).encode(), secrets.token_urlsafe(24).encode()]
        assert [weakness(secret) for secret in made] == [None] * 3


def test_what_is_derived_differs_by_purpose_and_by_key_and_shows_neither() -> None:
    keys = SecretKeys(KEY, b"another one that was there before")
    derived = {
        keys.derive("access"),
        keys.derive("rates"),
        derived_key(KEY.upper(), "access"),
        bytes.fromhex(key_id(KEY)),
        bytes.fromhex(key_id(KEY.upper())),
    }

    assert len(derived) == 5
    assert keys.derive("access") == derived_key(KEY, "access")
    assert KEY.decode() not in repr(keys)
    assert "there before" not in repr(keys)
