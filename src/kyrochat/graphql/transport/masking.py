"""What a client may see of an error, and what the log keeps of it."""

import logging
from collections.abc import Mapping, Sequence
from uuid import uuid4

from graphql import FieldNode, GraphQLError, GraphQLSyntaxError, VariableDefinitionNode
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from kyrochat import errors
from kyrochat.db.outage import is_outage
from kyrochat.graphql.transport.document_cache import VALIDATION_FAILED
from kyrochat.graphql.transport.refusals import RequestRefused

logger = logging.getLogger("kyrochat.graphql")

INTERNAL = "INTERNAL_SERVER_ERROR"
# Paths are made of the client's aliases, and an alias can be as long as a document.
MAX_LOGGED_PATH_CHARS = 200


def new_request_id() -> str:
    """Return an id that ties the answer of one operation to its line in the log."""
    return uuid4().hex


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was run: the fault is in the request as a whole, and `data` is not part of the answer."""
    return result.data is None and bool(result.errors) and all(error.path is None for error in result.errors or ())


def present_result(result: ExecutionResult, request_id: str | None = None) -> dict[str, object]:
    """Return `result` as it goes to the client: bugs masked and logged, everything else with its code.

    Without a `request_id` errors get one of their own.
    """
    payload: dict[str, object] = {} if is_request_error(result) else {"data": result.data}
    if result.errors:
        payload["errors"] = _present_errors(
            result.errors, request_id or new_request_id(), isinstance(result, PreExecutionError)
        )
    if result.extensions:
        payload["extensions"] = result.extensions
    return payload


def present_exception(error: Exception, request_id: str) -> dict[str, object]:
    """Return the entry of `errors` for what was raised rather than returned.

    That is a failure of the context or of the transport, or of an extension: on streams they come through.
    """
    if isinstance(error, RequestRefused):
        return error.as_error()
    if not isinstance(error, GraphQLError):
        error = GraphQLError(str(error), original_error=error)
    return _present_errors([error], request_id, before_execution=True)[0]


def _present_errors(found: Sequence[GraphQLError], request_id: str, before_execution: bool) -> list[dict[str, object]]:
    presented: list[dict[str, object]] = []
    bugs: list[GraphQLError] = []
    codes: dict[str, int] = {}
    for error in found:
        entry: dict[str, object] = dict(error.formatted)
        extensions = _extensions(error, before_execution)
        if extensions is None and is_outage(_root_cause(error)):
            # The database is away or its pool is full: no bug, and nothing that the client should read.
            busy = errors.Overloaded()
            entry["message"], extensions = busy.message, describe(busy)
        if extensions is None:
            bugs.append(error)
            extensions = {"code": INTERNAL, "requestId": request_id}
            entry["message"] = "Internal server error"
        else:
            codes[str(extensions["code"])] = codes.get(str(extensions["code"]), 0) + 1
        entry["extensions"] = extensions
        presented.append(entry)
    if bugs:
        _log_bug(bugs, request_id)
    if codes:
        # Codes only: messages repeat what the client sent, which may be anything, of any length.
        logger.info("Refused (request %s): %s", request_id, codes)
    return presented


def _extensions(error: GraphQLError, before_execution: bool) -> Mapping[str, object] | None:
    """Return the error's `extensions` with a code, or None for what nobody foresaw."""
    if error.extensions and error.extensions.get("code") == VALIDATION_FAILED:
        # Marked by the document cache. A scalar's parser that raised on a literal would look like a bug here.
        return error.extensions
    cause = _root_cause(error)
    match cause:
        case errors.KyroError():
            return describe(cause)
        case CannotGetOperationTypeError() | MissingQueryError() | InvalidOperationTypeError():
            return {"code": "BAD_USER_INPUT"}
        case GraphQLError(extensions={"code": str()}) if cause.extensions:
            return cause.extensions
        case GraphQLSyntaxError():
            return {"code": "GRAPHQL_PARSE_FAILED"}
        case _:
            pass
    blamed = error.nodes[0] if error.nodes else None
    if isinstance(blamed, VariableDefinitionNode):
        # A scalar's parser raised on the client's value: its exception is the cause, and yet not a bug.
        return {"code": "BAD_USER_INPUT"}
    if not isinstance(cause, GraphQLError):
        return None
    if before_execution and error.path is None:
        return {"code": VALIDATION_FAILED}
    # Arguments are blamed on their own nodes. A field's node means that a value of ours did not fit its type.
    return None if isinstance(blamed, FieldNode) else {"code": "BAD_USER_INPUT"}


def describe(error: errors.KyroError) -> dict[str, object] | None:
    """Return the `extensions` of an expected failure; None for those that only operators should see."""
    match error:
        case errors.Unauthenticated() | errors.InvalidCredentials():
            return {"code": "UNAUTHENTICATED"}
        case errors.Forbidden() | errors.QuotaExceeded():
            return {"code": "FORBIDDEN"}
        case errors.InvalidInput():
            issues = [{"path": list(issue.path), "message": issue.message} for issue in error.issues]
            return {"code": "BAD_USER_INPUT", "issues": issues}
        case errors.NotFound() | errors.Conflict() | errors.UnreadableDocument() | errors.NotConfigured():
            return {"code": "BAD_USER_INPUT"}
        case errors.RateLimited():
            return {"code": "RATE_LIMITED", "retryAfterSeconds": error.retry_after_s}
        case errors.TimedOut():
            return {"code": "TIMED_OUT"}
        case errors.Overloaded() | errors.ProviderUnavailable():
            return {"code": "OVERLOADED"}
        case _:
            return None


def _root_cause(error: GraphQLError) -> Exception:
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _log_bug(bugs: Sequence[GraphQLError], request_id: str) -> None:
    cause = _root_cause(bugs[0])
    if isinstance(cause, GraphQLError):
        # Printing a GraphQLError prints the document around it; the message alone must do.
        cause = RuntimeError(cause.message).with_traceback(cause.__traceback__)
    path = ".".join(str(step) for step in bugs[0].path or ())[:MAX_LOGGED_PATH_CHARS]
    logger.error(
        "Internal server error (request %s) at %r, %d in all: %s",
        request_id,
        path,
        len(bugs),
        type(cause).__name__,
        exc_info=cause,
        extra={"request_id": request_id},
    )
