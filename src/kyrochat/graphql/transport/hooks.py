"""Runs the hooks of a schema's extensions. Which class has which hook is looked up once, not with each operation."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from contextlib import contextmanager as synccontextmanager
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

# The place of an extension among the others, what makes its hook a context manager, and whether that is asynchronous.
Hook = tuple[int, Callable[..., Any], bool]


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
        if isasyncgenfunction(hook):
            found.append((place, asynccontextmanager(hook), True))
        elif isgeneratorfunction(hook):
            found.append((place, synccontextmanager(hook), False))
        else:
            raise TypeError(f"{each.__name__}.{name} must be a generator.")
    return tuple(found)


class _Nothing:
    """No extension has this hook."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


class _Hooks:
    """The hooks of one step of one operation, entered in their order and left in the reverse one."""

    __slots__ = ("_arguments", "_extensions", "_hooks", "_stack")

    def __init__(self, hooks: tuple[Hook, ...], extensions: list[SchemaExtension], *arguments: object) -> None:
        self._hooks, self._extensions, self._arguments = hooks, extensions, arguments
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> None:
        try:
            for place, make, is_async in self._hooks:
                manager = make(self._extensions[place], *self._arguments)
                if is_async:
                    await self._stack.enter_async_context(cast("AbstractAsyncContextManager[None]", manager))
                else:
                    self._stack.enter_context(cast("AbstractContextManager[None]", manager))
        except BaseException:
            # Whoever was entered before the one that refused is left, too.
            await self._stack.aclose()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)


_NOTHING = _Nothing()


class HookRunner(SchemaExtensionsRunner):
    """Stands in for Strawberry's, which inspects each extension anew four times an operation."""

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

    def _hooks(self, name: str, *arguments: object) -> _Hooks | _Nothing:
        hooks = hooks_of(tuple(map(type, self.extensions)), name)
        return _Hooks(hooks, self.extensions, *arguments) if hooks else _NOTHING
