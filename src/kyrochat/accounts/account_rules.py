"""What e-mail addresses, names and new passwords must be like."""

import re
import unicodedata
from functools import cache
from importlib.resources import files

from kyrochat.accounts.passwords import MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES
from kyrochat.rules import Rules

MAX_EMAIL_CHARS = 254
MAX_NAME_CHARS = 100
# Of accounts that have ended, behind their ids: nobody may take the address that another one's account will need.
ENDED_DOMAIN = "@deleted.invalid"
# One @ with something around it: more than this only sending a mail can tell.
_EMAIL = re.compile(r"[^\s@\x00-\x1f]{1,64}@[^\s@\x00-\x1f]+")


def normal_email(email: str) -> str:
    """Return an e-mail address as it is stored and looked for."""
    return email.strip().lower()


def check_email(rules: Rules, field: str, email: str) -> None:
    """Note when that is no e-mail address."""
    if len(email) > MAX_EMAIL_CHARS or not _EMAIL.fullmatch(email) or email.endswith(ENDED_DOMAIN):
        rules.add(field, "This is not an e-mail address.")


def check_name(rules: Rules, field: str, name: str) -> str:
    """Return a person's name without white space around it; note what is wrong with it."""
    return rules.text(field, name, max_chars=MAX_NAME_CHARS, min_chars=1)


def check_new_password(rules: Rules, field: str, password: str, *, email: str, name: str) -> None:
    """Note when somebody would guess the password. There are no rules on kinds of letters: length is what counts."""
    spelt = unicodedata.normalize("NFC", password)
    if not MIN_PASSWORD_BYTES <= len(spelt.encode()) <= MAX_PASSWORD_BYTES:
        rules.add(field, f"A password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES:,} bytes.")
        return
    word = spelt.strip().casefold()
    if word in {email, email.partition("@")[0], unicodedata.normalize("NFC", name).casefold()}:
        rules.add(field, "This is your e-mail address or your name. Choose a password that nobody else can know.")
    elif word in _common() or len(set(word)) == 1:
        rules.add(field, "This is one of the passwords that are tried first. Choose another, such as four odd words.")


@cache
def _common() -> frozenset[str]:
    lines = (files("kyrochat.accounts") / "common_passwords.txt").read_text("ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
