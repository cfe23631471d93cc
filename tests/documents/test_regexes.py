"""No pattern that meets a stranger's text takes long on any."""

import importlib
import inspect
import pkgutil
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest

import kyrochat.documents.formats
from tests.timing import at_most

CHARS = 100_000
MAX_CPU_S = 0.25  # 50 ms, on a machine that has other work, too

EVIL = {
    "blanks": " " * CHARS,
    "blanks, then a letter": " " * CHARS + "x",
    "tabs in a heading": "#" + "\t" * CHARS + "x",
    "marks": "#" * CHARS,
    "underline": "=" * CHARS + "x",
    "dashes": "-" * CHARS + "x",
    "lines": "\n" * CHARS,
    "letters": "a" * CHARS,
    "digits": "1" * CHARS + "x",
    "words": "word " * (CHARS // 5),
    "colons": "a:" * (CHARS // 2),
    "headers": "From: x\n" * (CHARS // 8),
    "open tags": "<" * CHARS,
    "open types": "<!doctype [" * (CHARS // 11),
    "metas": "<meta " * (CHARS // 6),
    "declarations": "<?xml encoding" * (CHARS // 14),
    "data": "data:a/b;base64," * (CHARS // 16),
    "more data": "data:" + "a/" * (CHARS // 2),
    "brackets": "[" * CHARS,
    "controls": "\x01" * CHARS,
    "line ends": "\r" * CHARS,
    "hyphens": "\ufffe" * CHARS,
}


@dataclass(frozen=True)
class Use:
    """A pattern, and whether its module looks for it anywhere or at a text's start only."""

    pattern: re.Pattern[Any]
    is_anchored: bool

    def run(self, text: str) -> None:
        subject = text.encode() if isinstance(self.pattern.pattern, bytes) else text
        if self.is_anchored:
            self.pattern.match(subject)
        else:
            deque(self.pattern.finditer(subject), maxlen=0)


def uses() -> dict[str, Use]:
    names = ["decoding", "media_types", "archives", "extraction"]
    names += [f"formats.{module.name}" for module in pkgutil.iter_modules(kyrochat.documents.formats.__path__)]
    found = {}
    for name in names:
        module = importlib.import_module(f"kyrochat.documents.{name}")
        source = inspect.getsource(module)
        for variable, value in vars(module).items():
            if isinstance(value, re.Pattern):
                methods = set(re.findall(rf"\b{variable}\.(\w+)", source))
                found[f"{name}.{variable}"] = Use(value, methods <= {"match", "fullmatch"})
    return found


USES = uses()


def test_there_are_patterns_to_look_at() -> None:
    assert {"decoding._META_CHARSET", "formats.html._DATA_URI", "formats.markdown._MARK"} <= USES.keys()


@pytest.mark.parametrize("text", list(EVIL.values()), ids=list(EVIL))
@pytest.mark.parametrize("name", list(USES))
def test_it_takes_linear_time(name: str, text: str) -> None:
    with at_most(seconds=MAX_CPU_S):
        USES[name].run(text)
