"""What a scripted Pinecone does with one request instead of answering it."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """As always."""


@dataclass(frozen=True)
class HttpError:
    """Another status than 200, with `retry_after` in seconds; `html` is a proxy's page instead of JSON."""

    status: int
    code: str = "UNKNOWN"
    message: str = "It failed."
    retry_after: float | None = None
    html: str | None = None

    @property
    def body(self) -> bytes:
        if self.html is not None:
            return self.html.encode()
        return json.dumps({"status": self.status, "error": {"code": self.code, "message": self.message}}).encode()

    @property
    def headers(self) -> dict[str, str]:
        kind = {"content-type": "application/json" if self.html is None else "text/html"}
        return kind if self.retry_after is None else kind | {"retry-after": f"{self.retry_after:g}"}


@dataclass(frozen=True)
class Hang:
    """No answer, ever."""


@dataclass(frozen=True)
class Cut:
    """The connection breaks in the middle of the body."""


@dataclass(frozen=True)
class Raw:
    """Status 200 with these very bytes."""

    content: bytes


@dataclass(frozen=True)
class StoreOnly:
    """An upsert of which the first `count` documents are stored, and that says so."""

    count: int


Step = Answer | HttpError | Hang | Cut | Raw | StoreOnly

KEY_INVALID = HttpError(401, "UNAUTHENTICATED", "Invalid API Key")
QUOTA_EXCEEDED = HttpError(403, "QUOTA_EXCEEDED", "You've reached the max namespaces allowed in this index (100).")
RATE_LIMITED = HttpError(429, "RESOURCE_EXHAUSTED", "Too many requests.", retry_after=0)
