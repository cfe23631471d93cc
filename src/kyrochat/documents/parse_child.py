"""The one-shot process that reads one file in a jail.

`python -I -m kyrochat.documents.parse_child FORMAT LIMITS` reads a file on stdin and writes one JSON
object on stdout. Limits come first, imports that parse come later: a bomb only ever kills the child.
"""

import json
import os
import sys
from dataclasses import asdict

from kyrochat.documents.extracted import TooMuchText
from kyrochat.documents.formats.readers import FORMATS
from kyrochat.documents.jail import JailLimits, enter_jail
from kyrochat.documents.media_types import MediaType
from kyrochat.errors import UnreadableDocument


def answer(media_type: MediaType, data: bytes, limits: JailLimits) -> dict[str, object]:
    """Return what goes back: the fields of `Extracted`, or `unreadable` (a sentence), or `failed` (a type's name)."""
    try:
        extracted = FORMATS[media_type].parse(data)
    except UnreadableDocument as error:
        return {"unreadable": error.message}
    except TooMuchText:
        return {"too_long": True}
    except Exception as error:
        return {"failed": type(error).__name__}
    if len(extracted.text) > limits.max_chars:
        return {"too_long": True}
    return asdict(extracted)


def main(format_name: str, limits_json: str) -> None:
    """Read stdin, parse in the jail, write stdout, and be gone without tidying up."""
    limits = JailLimits(**json.loads(limits_json))
    enter_jail(limits)
    import logging
    import mimetypes
    import warnings

    logging.disable(logging.CRITICAL)  # libraries put pieces of the document into their messages
    warnings.simplefilter("ignore")
    mimetypes.knownfiles.clear()  # files of the system, which the jail has closed and openpyxl asks for
    reply = json.dumps(answer(MediaType(format_name), sys.stdin.buffer.read(), limits), ensure_ascii=False)
    sys.stdout.buffer.write(reply.encode("utf-8", errors="replace"))
    sys.stdout.buffer.flush()
    os._exit(0)  # freeing a tree of a million nodes one by one takes longer than reading it


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
