"""GraphQL multipart requests: an operation and the files its variables name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NewType

import strawberry
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from kyrochat.graphql.transport.operation import Operation, operation_from, parse_json
from kyrochat.graphql.transport.refusals import IllFormed

MAX_FILES = 4
# `operations` and `map`, and room for what some clients add.
MAX_FIELDS = 8
# A page on another site can post a form without asking, but not with one of these headers.
PREFLIGHT_HEADERS = ("GraphQL-Require-Preflight", "Apollo-Require-Preflight", "X-Requested-With", "Authorization")

Upload = NewType("Upload", UploadFile)


def _parse_upload(value: object) -> UploadFile:
    if not isinstance(value, UploadFile):
        raise ValueError("Send the file itself: as a part of a GraphQL multipart request.")
    return value


UPLOAD_SCALAR = strawberry.scalar(
    name="Upload",
    description="A file, sent as a part of a GraphQL multipart request. Elsewhere in JSON its place is null.",
    specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
    parse_value=_parse_upload,
)


def require_preflight_header(request: Request) -> None:
    """Refuse a multipart request that a foreign page could have sent without a CORS preflight."""
    if not any(name in request.headers for name in PREFLIGHT_HEADERS):
        raise IllFormed(
            "Multipart requests need a header that a foreign web page cannot send unasked: "
            "add `GraphQL-Require-Preflight: 1`."
        )


@asynccontextmanager
async def multipart_operation(request: Request, max_part_bytes: int) -> AsyncIterator[Operation]:
    """Read the form and yield its operation, files in place; the files are closed at the end.

    Raises:
        IllFormed: the form is broken, or `operations`, `map` and the files do not fit each other.
    """
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=max_part_bytes)
    except HTTPException as error:
        raise IllFormed(error.detail) from None
    except MultiPartException as error:
        raise IllFormed(error.message) from None
    except (LookupError, ValueError):
        raise IllFormed("The multipart body is malformed.") from None
    try:
        yield _operation_with_files(form)
    finally:
        await form.close()


def _operation_with_files(form: FormData) -> Operation:
    parameters = _json_part(form, "operations")
    operation = operation_from(parameters)
    files = {name: part for name, part in form.items() if isinstance(part, UploadFile)}
    places = _json_part(form, "map")
    if not isinstance(places, dict) or places.keys() != files.keys():
        raise IllFormed("`map` must be an object that names every file part, and nothing else.")
    for name, paths in places.items():
        if not isinstance(paths, list) or not paths:
            raise IllFormed("Each value of `map` must be a list of paths.")
        for path in paths:
            _put_file(parameters, path, files[name])
    return operation


def _json_part(form: FormData, name: str) -> object:
    part = form.get(name)
    if not isinstance(part, str):
        raise IllFormed(f"A multipart request needs the field `{name}`, with JSON.")
    return parse_json(part)


def _put_file(parameters: object, path: object, file: UploadFile) -> None:
    """Put `file` where `path` ("variables.input.file", "variables.files.0") points to a null."""
    if not isinstance(path, str) or not path.startswith("variables."):
        raise IllFormed('Paths in `map` look like "variables.input.file".')
    *parents, last = path.split(".")
    target = parameters
    for step in parents:
        target = _step(target, step)
    if _step(target, last) is not None:
        raise IllFormed("A path in `map` must lead to a null in `operations`.")
    if isinstance(target, dict):
        target[last] = file
    elif isinstance(target, list):
        target[int(last)] = file


def _step(container: object, step: str) -> object:
    if isinstance(container, dict) and step in container:
        return container[step]
    # Only short digits: "-1" would wrap around, and int() refuses thousands of them.
    if (
        isinstance(container, list)
        and step.isascii()
        and step.isdigit()
        and len(step) < 5
        and int(step) < len(container)
    ):
        return container[int(step)]
    raise IllFormed("A path in `map` leads nowhere in `operations`.")
