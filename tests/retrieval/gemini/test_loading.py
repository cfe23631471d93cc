import subprocess
import sys

LOADING = """
import sys
from kyrochat.retrieval.gemini import open_gemini
open_gemini("key", None, "v1", "gemini-3.5-flash", "gemini-embedding-001")
print([name for name in sys.modules if name.startswith("google.genai")])
"""


def test_the_sdk_is_not_imported_before_the_first_request() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.strip() == "[]"
