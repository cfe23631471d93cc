import subprocess
import sys

LOADING = """
import sys
from kyrochat.retrieval.pinecone import open_pinecone
open_pinecone("key", None, "kyrochat", dimensions=768)
print([name for name in sys.modules if name.split(".")[0] in ("pinecone", "httpx")])
"""


def test_the_sdk_is_not_imported_before_the_first_request() -> None:
    ran = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.strip() == "[]"
