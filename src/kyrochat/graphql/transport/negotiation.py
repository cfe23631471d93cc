"""Choose the form of the answer from the Accept header."""

from dataclasses import dataclass
from functools import lru_cache

from kyrochat.graphql.transport.refusals import JSON_MEDIA_TYPE, RequestRefused

RESULT_MEDIA_TYPE = "application/graphql-response+json"
EVENTS_MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the client takes: JSON of `json_media_type` (None: no JSON at all), and whether event streams."""

    json_media_type: str | None
    takes_events: bool


# Few clients, few headers; none is longer than a head may be.
@lru_cache(maxsize=64)
def negotiate(accept: str | None) -> Accepted:
    """Return what a client takes; JSON goes before events, since many clients list both with every query.

    Raises:
        RequestRefused: 406, when there is nothing in it that we could send.
    """
    if accept is None or not accept.strip():
        return Accepted(JSON_MEDIA_TYPE, takes_events=False)
    quality = _qualities(accept)
    result_q = quality.get(RESULT_MEDIA_TYPE, 0.0)
    json_q = quality.get(JSON_MEDIA_TYPE, quality.get("application/*", quality.get("*/*", 0.0)))
    takes_events = quality.get(EVENTS_MEDIA_TYPE, 0.0) > 0
    if result_q > 0 and result_q >= json_q:
        return Accepted(RESULT_MEDIA_TYPE, takes_events)
    if json_q > 0:
        return Accepted(JSON_MEDIA_TYPE, takes_events)
    if takes_events:
        return Accepted(None, takes_events=True)
    offers = f"{RESULT_MEDIA_TYPE}, {JSON_MEDIA_TYPE}, or {EVENTS_MEDIA_TYPE}"
    raise RequestRefused(406, "BAD_USER_INPUT", f"Answers come as {offers}.")


def _qualities(accept: str) -> dict[str, float]:
    qualities: dict[str, float] = {}
    for item in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        q = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    q = float(parameter[2:])
                except ValueError:
                    q = 0.0
        qualities[media_type] = max(q, qualities.get(media_type, 0.0))
    return qualities
