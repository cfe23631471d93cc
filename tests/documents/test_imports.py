"""The server's own process never loads what parses strangers' files."""

import subprocess
import sys

PARSERS = ("docx", "lxml", "openpyxl", "pptx", "pypdfium2", "trafilatura")


def test_the_server_does_not_import_a_parser() -> None:
    code = f"import sys, kyrochat.app, kyrochat.documents.parse_child; print(*(set({PARSERS!r}) & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
