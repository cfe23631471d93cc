"""Expected failures as members of result unions, and how errors become them."""

from typing import Any, TypeVar, cast

import strawberry
from strawberry.types.field import StrawberryField

from kyrochat import errors
from kyrochat.chat.exchanges import AnswerInProgress
from kyrochat.graphql.ids import global_id

# Left open here: each handler below names its pair as attributes.
E = TypeVar("E", bound=errors.KyroError)
P = TypeVar("P", bound="Problem")

MESSAGE = "What went wrong and what to do about it, for people."


@strawberry.interface(description="An expected failure of a mutation.")
class Problem:
    """What all problems have."""

    message: str = strawberry.field(description=MESSAGE)


@strawberry.type(description="What is wrong with one input field.")
class InputIssue:
    """One broken rule."""

    path: list[str] = strawberry.field(description='Leads to the field, e.g. `["input", "name"]`.')
    message: str = strawberry.field(description="What is wrong with it, for people.")


@strawberry.type(description="One or more input fields break a rule; nothing was changed.")
class InvalidInputProblem(Problem):
    """For errors.InvalidInput."""

    issues: list[InputIssue] = strawberry.field(description="Each broken rule.")


@strawberry.type(description="The request contradicts what is stored, e.g. a name that is taken.")
class ConflictProblem(Problem):
    """For errors.Conflict."""

    answer_in_progress: strawberry.ID | None = strawberry.field(
        default=None,
        description="The answer that is being written in the conversation, where that is the conflict: watch it with "
        "`answerEvents`, or end it with `stopAnswer`.",
    )


@strawberry.type(description="There is no such object, or it is not yours; both look the same.")
class NotFoundProblem(Problem):
    """For errors.NotFound."""


@strawberry.type(description="A wrong e-mail address, password or token; which of them is not said.")
class InvalidCredentialsProblem(Problem):
    """For errors.InvalidCredentials."""


@strawberry.type(description="Too many requests.")
class RateLimitedProblem(Problem):
    """For errors.RateLimited."""

    retry_after_seconds: float = strawberry.field(description="How long to wait before the next try.")


@strawberry.type(description="The workspace, or the API key, has used up what it may use.")
class QuotaExceededProblem(Problem):
    """For errors.QuotaExceeded."""


@strawberry.type(description="This server is not set up for that; the message says what to do instead.")
class NotConfiguredProblem(Problem):
    """For errors.NotConfigured."""


class _BecomesProblem(strawberry.ExceptionHandler[E, P]):
    """Turns an error of `exception_type` into a problem of `error_type` where a field's result union has it."""

    def handle(self, exception: E, *, field: StrawberryField, info: strawberry.Info[Any, Any]) -> P:
        """Return the problem."""
        del field, info
        return cast(P, _problem(exception))


def _problem(error: errors.KyroError) -> Problem:
    match error:
        case errors.InvalidInput():
            issues = [InputIssue(path=["input", *issue.path], message=issue.message) for issue in error.issues]
            return InvalidInputProblem(message=error.message, issues=issues)
        case errors.RateLimited():
            return RateLimitedProblem(message=error.message, retry_after_seconds=error.retry_after_s)
        case AnswerInProgress():
            return ConflictProblem(message=error.message, answer_in_progress=global_id("Message", error.answer_id))
        case errors.Conflict():
            return ConflictProblem(message=error.message)
        case errors.NotFound():
            return NotFoundProblem(message=error.message)
        case errors.InvalidCredentials():
            return InvalidCredentialsProblem(message=error.message)
        case errors.QuotaExceeded():
            return QuotaExceededProblem(message=error.message)
        case errors.NotConfigured():
            return NotConfiguredProblem(message=error.message)
        case _:
            raise error


class _OnInvalidInput(_BecomesProblem[errors.InvalidInput, InvalidInputProblem]):
    exception_type, error_type = errors.InvalidInput, InvalidInputProblem


class _OnConflict(_BecomesProblem[errors.Conflict, ConflictProblem]):
    exception_type, error_type = errors.Conflict, ConflictProblem


class _OnNotFound(_BecomesProblem[errors.NotFound, NotFoundProblem]):
    exception_type, error_type = errors.NotFound, NotFoundProblem


class _OnInvalidCredentials(_BecomesProblem[errors.InvalidCredentials, InvalidCredentialsProblem]):
    exception_type, error_type = errors.InvalidCredentials, InvalidCredentialsProblem


class _OnRateLimited(_BecomesProblem[errors.RateLimited, RateLimitedProblem]):
    exception_type, error_type = errors.RateLimited, RateLimitedProblem


class _OnQuotaExceeded(_BecomesProblem[errors.QuotaExceeded, QuotaExceededProblem]):
    exception_type, error_type = errors.QuotaExceeded, QuotaExceededProblem


class _OnNotConfigured(_BecomesProblem[errors.NotConfigured, NotConfiguredProblem]):
    exception_type, error_type = errors.NotConfigured, NotConfiguredProblem


EXCEPTION_HANDLERS = (
    _OnInvalidInput(),
    _OnConflict(),
    _OnNotFound(),
    _OnInvalidCredentials(),
    _OnRateLimited(),
    _OnQuotaExceeded(),
    _OnNotConfigured(),
)
