"""Which passwords, names and addresses are taken, and that whoever is refused is told why."""

import pytest

from kyrochat.accounts.account_rules import _common, check_email, check_new_password
from kyrochat.rules import Rules


def objections(password: str, email: str = "ada@example.com", name: str = "Ada King") -> list[str]:
    rules = Rules()
    check_new_password(rules, "password", password, email=email, name=name)
    return [issue.message for issue in rules.issues]


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "jx4-ob7!",
        "éàéà",
        "xy" * 512,
        "password that nobody guesses",
        "ada@example.com and more",
        " 1234567x ",
    ],
)
def test_any_other_password_of_eight_bytes_or_more_is_taken(password: str) -> None:
    assert objections(password) == []


@pytest.mark.parametrize(
    "password",
    ["password", "12345678", "PassWord", "1qaz2wsx", "iloveyou", "aaaaaaaaaaaa", "ﾟ" * 8, " password ", "trustno1"],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    (message,) = objections(password)
    assert "tried first" in message


@pytest.mark.parametrize("password", ["ada@example.com", "ADA@Example.com", "Ada King", "ada king"])
def test_ones_own_name_and_address_are_refused(password: str) -> None:
    (message,) = objections(password)
    assert "your name" in message


def test_the_part_before_the_at_and_a_name_in_another_spelling_are_refused_too() -> None:
    assert objections("lovelace1815", "lovelace1815@example.com")
    assert objections("zoe\u0301 martin", name="Zo\u00e9 Martin")


@pytest.mark.parametrize("password", ["", "1234567", "é" * 3, "x" * 1_025, "éa" * 342])
def test_too_short_and_too_long_ones_are_refused_with_the_limits(password: str) -> None:
    assert objections(password) == ["A password has 8 to 1,024 bytes."]


def test_what_is_composed_of_letters_and_accents_is_measured_as_it_is_hashed() -> None:
    # 3 composed letters are 6 bytes, 9 when decomposed.
    assert objections("e\u0301" * 3) == ["A password has 8 to 1,024 bytes."]


def test_the_list_holds_what_it_says() -> None:
    common = _common()
    assert len(common) == 3_000
    assert {word for word in common if len(word) < 8 or word != word.casefold().strip() or not word.isascii()} == set()


@pytest.mark.parametrize("email", ["a@b", "a.b+c@example.com", "ü@exämple.com", f"{'x' * 64}@example.com"])
def test_addresses_with_one_at_are_taken(email: str) -> None:
    rules = Rules()
    check_email(rules, "email", email)
    assert rules.issues == []
