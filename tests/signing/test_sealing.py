"""What is sealed is opened by who has the key, for what it belongs to, and by nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.signing.keys import SecretKeys
from kyrochat.signing.sealing import Sealer, Unsealable

OLD, NEW = SecretKeys(b"a" * 32), SecretKeys(b"b" * 32, b"a" * 32)


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=20))
def test_what_was_sealed_comes_back_and_is_not_to_be_seen(secret: bytes, owner: bytes) -> None:
    sealer = Sealer.of(OLD, "tests")

    sealed = sealer.seal(secret, owner)

    assert sealer.open(sealed, owner) == secret
    assert len(secret) < 8 or secret not in sealed
    assert sealer.seal(secret, owner) != sealed


def test_the_key_before_a_rotation_still_opens_and_a_lost_one_does_not() -> None:
    sealed = Sealer.of(OLD, "tests").seal(b"secret", b"owner")

    assert Sealer.of(NEW, "tests").open(sealed, b"owner") == b"secret"
    for other in (Sealer.of(SecretKeys(b"b" * 32), "tests"), Sealer.of(OLD, "something else")):
        with pytest.raises(Unsealable):
            other.open(sealed, b"owner")


@pytest.mark.parametrize("sealed", [b"", b"x", b"x" * 12, b"x" * 40])
def test_what_belongs_to_another_or_was_changed_is_not_opened(sealed: bytes) -> None:
    sealer = Sealer.of(OLD, "tests")
    right = sealer.seal(b"secret", b"owner")

    for broken, owner in ((sealed, b"owner"), (right, b"another"), (right[:-1], b"owner"), (right + b"x", b"owner")):
        with pytest.raises(Unsealable):
            sealer.open(broken, owner)


def test_a_sealer_shows_no_key() -> None:
    assert "a" * 8 not in repr(Sealer.of(OLD, "tests"))
    assert "\\x" not in repr(Sealer.of(OLD, "tests"))
