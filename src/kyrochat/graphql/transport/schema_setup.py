"""What the front door expects of the schema behind it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import strawberry
from graphql import ExecutionResult as GraphQLResult
from graphql import GraphQLError, MiddlewareManager, execute
from graphql.pyutils import AwaitableOrValue
from strawberry.extensions import DisableIntrospection, SchemaExtension
from strawberry.extensions.runner import SchemaExtensionsRunner
from strawberry.schema.config import StrawberryConfig
from strawberry.types.execution import ExecutionContext
from strawberry.types.scalar import ScalarDefinition

from kyrochat.graphql.transport.document_cache import DocumentCache
from kyrochat.graphql.transport.event_plans import EventExecutor
from kyrochat.graphql.transport.hooks import HookRunner
from kyrochat.graphql.transport.time_limit import OPERATION_LIMIT_S, within
from kyrochat.graphql.transport.uploads import UPLOAD_SCALAR, Upload


class KyroSchema(strawberry.Schema):
    """A schema with a cache of documents, that leaves the logging of errors to the front door.

    Queries and mutations are cancelled after `time_limit_s`; subscriptions may wait for ever. Without `introspection`
    it does not tell about itself, nor suggest what a misspelt name may have meant.

    Strawberry logs every error at ERROR, with a traceback and the document: client mistakes too, and 200 MB of
    it when the document has 200 MB.
    """

    def __init__(
        self,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        *,
        extensions: Iterable[type[SchemaExtension] | Callable[[], SchemaExtension]] = (),
        config: StrawberryConfig | None = None,
        documents: DocumentCache | None = None,
        introspection: bool = True,
        time_limit_s: float = OPERATION_LIMIT_S,
        **options: Any,
    ) -> None:
        self.documents = documents or DocumentCache()
        self.time_limit_s = time_limit_s
        self._wraps_fields: bool | None = None
        options.setdefault("execution_context_class", EventExecutor)
        if not introspection:
            extensions = (*extensions, DisableIntrospection)
            options["execution_context_class"] = _KeepsNames
            self.documents.hides_suggestions = True
        super().__init__(
            query,
            mutation,
            subscription,
            # Last, so that an extension that refuses costly documents comes before their validation.
            extensions=(*extensions, self.documents.extension),
            config=config or make_schema_config(),
            **options,
        )

    def create_extensions_runner(
        self, execution_context: ExecutionContext, extensions: list[SchemaExtension]
    ) -> SchemaExtensionsRunner:
        """Return what runs the hooks of the extensions."""
        return HookRunner(execution_context, extensions)

    def _get_middleware_manager(self, extensions: list[SchemaExtension]) -> MiddlewareManager:
        # Most schemas have no extension around each field: then nothing is asked of it with each operation.
        if self._wraps_fields is None:
            self._wraps_fields = any(extension._implements_resolve() for extension in extensions)
        return super()._get_middleware_manager(extensions) if self._wraps_fields else _NO_MIDDLEWARE

    def _get_execute_function(self) -> Callable[..., Any]:
        return self._execute_in_time

    def _execute_in_time(self, *args: Any, **options: Any) -> AwaitableOrValue[GraphQLResult]:
        # What needs no waiting for is over by now.
        result = execute(*args, **options)
        return result if isinstance(result, GraphQLResult) else within(self.time_limit_s, result)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Do nothing: `masking` sees each error on its way out, on every transport, and logs it there."""


_NO_MIDDLEWARE = MiddlewareManager()


class _KeepsNames(EventExecutor):
    @classmethod
    def build(cls, *args: Any, **options: Any) -> Any:
        """Check the variables, too, without a word of what they may have meant."""
        return super().build(*args, **{**options, "hide_suggestions": True})


def make_schema_config(scalar_map: Mapping[object, ScalarDefinition] | None = None) -> StrawberryConfig:
    """Return the configuration that `GraphQLView` needs: the strict `Upload`, and `scalar_map`'s scalars."""
    return StrawberryConfig(scalar_map={Upload: UPLOAD_SCALAR, **(scalar_map or {})})
