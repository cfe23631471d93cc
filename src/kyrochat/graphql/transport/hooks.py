"""Runs the hooks of a schema's extensions. Which class has which hook is looked up once, not with each operation."""

from collections.abc import Callable
from functools import lru_cache
from inspect import isasyncgenfunction, isgeneratorfunction
from types import TracebackType
from typing import Any, cast

from strawberry.extensions import SchemaExtension
from strawberry.extensions.context import (
    ExecutingContextManager,
    OperationContextManager,
    ParsingContextManager,
    StreamResultContextManager,
    ValidationContextManager,
)
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.types import ExecutionContext
from strawberry.utils.await_maybe import await_maybe

# The place of an extension among the others, its hook, and whether that is asynchronous.
Hook = tuple[int, Callable[..., Any], bool]
# A hook that has come to its yield, and whether it is asynchronous.
Steps = tuple[Any, bool]


@lru_cache(maxsize=256)
def hooks_of(classes: tuple[type[SchemaExtension], ...], name: str) -> tuple[Hook, ...]:
    """Return the hooks of that name that the classes have.

    Raises:
        TypeError: one is no generator.
    """
    found: list[Hook] = []
    for place, each in enumerate(classes):
        hook = getattr(each, name)
        if hook is getattr(SchemaExtension, name):
            continue
        if not (isasyncgenfunction(hook) or isgeneratorfunction(hook)):
            raise TypeError(f"{each.__name__}.{name} must be a generator.")
        found.append((place, hook, isasyncgenfunction(hook)))
    return tuple(found)


@lru_cache(maxsize=256)
def _that_tell(classes: tuple[type[SchemaExtension], ...]) -> tuple[int, ...]:
    """Return the places of the extensions that have something to say beside the data."""
    return tuple(place for place, each in enumerate(classes) if each.get_results is not SchemaExtension.get_results)


class _Nothing:
    """No extension has this hook."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class _Hooks:
    """The hooks of one step of one operation, entered in their order and left in the reverse one.

    They are driven here as `contextlib` would, without an object or three of its own for each.
    """

    __slots__ = ("_arguments", "_entered", "_extensions", "_hooks")

    def __init__(self, hooks: tuple[Hook, ...], extensions: list[SchemaExtension], arguments: tuple[object, ...]):
        self._hooks, self._extensions, self._arguments = hooks, extensions, arguments
        self._entered: list[Steps] = []

    async def __aenter__(self) -> None:
        try:
            for place, hook, is_async in self._hooks:
                steps = hook(self._extensions[place], *self._arguments)
                if is_async:
                    await anext(steps)
                else:
                    next(steps)
                self._entered.append((steps, is_async))
        except BaseException:
            # Whoever was entered before the one that refused is left, too.
            await self._leave(None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        left = await self._leave(error)
        if left is not None and left is not error:
            raise left
        return left is None

    async def _leave(self, error: BaseException | None) -> BaseException | None:
        """Leave all hooks, and return what has become of an error: each may replace it, or end it."""
        while self._entered:
            steps, is_async = self._entered.pop()
            try:
                if is_async:
                    await (anext(steps) if error is None else steps.athrow(error))
                elif error is None:
                    next(steps)
                else:
                    steps.throw(error)
                error = RuntimeError("A hook yields once.")
            except (StopIteration, StopAsyncIteration):
                error = None
            except BaseException as raised:  # whatever it is: the next one shall hear of it
                error = raised
        return error


_NOTHING = _Nothing()


class HookRunner(SchemaExtensionsRunner):
    """Stands in for Strawberry's, which inspects each extension anew four times an operation."""

    def __init__(self, execution_context: ExecutionContext, extensions: list[SchemaExtension]) -> None:
        super().__init__(execution_context, extensions)
        self._classes = tuple(map(type, extensions))

    def operation(self) -> OperationContextManager:
        """Return what runs around the whole operation."""
        return cast("OperationContextManager", self._hooks("on_operation"))

    def validation(self) -> ValidationContextManager:
        """Return what runs around validation."""
        return cast("ValidationContextManager", self._hooks("on_validate"))

    def parsing(self) -> ParsingContextManager:
        """Return what runs around parsing."""
        return cast("ParsingContextManager", self._hooks("on_parse"))

    def executing(self) -> ExecutingContextManager:
        """Return what runs around execution."""
        return cast("ExecutingContextManager", self._hooks("on_execute"))

    def on_stream_result(self, result: Any) -> StreamResultContextManager:
        """Return what runs around each result of a stream."""
        return cast("StreamResultContextManager", self._hooks("on_stream_result", result))

    async def get_extensions_results(self, ctx: ExecutionContext) -> dict[str, Any]:
        """Return what the extensions have to say beside the data."""
        found: dict[str, Any] = {}
        for place in _that_tell(self._classes):
            found.update(await await_maybe(self.extensions[place].get_results()))
        found.update(ctx.extensions_results)
        return found

    def _hooks(self, name: str, *arguments: object) -> _Hooks | _Nothing:
        hooks = hooks_of(self._classes, name)
        return _Hooks(hooks, self.extensions, arguments) if hooks else _NOTHING
