"""`kyrochat documents`: reads files of GraphQL documents, checks them, and tells the database of them."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, validate

from kyrochat.db.access import database_access
from kyrochat.errors import InvalidInput, NotFound
from kyrochat.graphql.schema import build_schema
from kyrochat.graphql.transport.document_cache import MAX_TOKENS
from kyrochat.graphql.transport.operation import SHA256
from kyrochat.settings import Settings
from kyrochat.trusted.documents import TrustedDocuments, document_hash

Echo = Callable[..., Any]
SUFFIXES = (".graphql", ".gql")
MAX_SHOWN_PROBLEMS = 20
MANIFEST = "apollo-persisted-query-manifest"


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document, where it was found, and the id that it is given there, if any."""

    body: str
    where: str
    id: str | None = None


async def register(settings: Settings, echo: Echo, paths: Sequence[Path]) -> None:
    """Store all documents in files and folders, or none of them.

    Raises:
        InvalidInput: there are none, or one of them is not right; the message names the first ones and says why.
    """
    found = [document for path in paths for document in read_documents(path)]
    if not found:
        raise InvalidInput.at(
            "paths", f"There is no document. Files of documents end with {', '.join(SUFFIXES)} or .json."
        )
    problems = list(_problems(found))
    if problems:
        shown = "\n".join(problems[:MAX_SHOWN_PROBLEMS])
        more = len(problems) - MAX_SHOWN_PROBLEMS
        raise InvalidInput.at("paths", f"Nothing was registered:\n{shown}" + (f"\nand {more} more" if more > 0 else ""))
    async with _opened(settings) as trusted:
        new = await trusted.register(document.body for document in found)
    known = len({document.body for document in found}) - new
    echo(f"Registered {new} documents" + (f"; {known} were there." if known else "."))


async def list_documents(settings: Settings, echo: Echo) -> None:
    """Print a line for each document, the newest first."""
    async with _opened(settings) as trusted:
        documents = await trusted.all()
    for document in documents:
        names = ", ".join(_operation_names(document.body)) or "(no name)"
        echo(f"{document.sha256}  {document.registered_at:%Y-%m-%d %H:%M}  {names}")
    if not documents:
        echo("No documents are registered.")


async def remove(settings: Settings, echo: Echo, ids: Sequence[str]) -> None:
    """Forget documents by their ids.

    Raises:
        InvalidInput: one of them is no id.
        NotFound: none of them is registered.
    """
    hashes = [match[1].lower() for id_ in ids if (match := SHA256.fullmatch(id_))]
    if len(hashes) < len(ids):
        raise InvalidInput.at("ids", "An id has 64 hexadecimal digits, as `kyrochat documents list` prints it.")
    async with _opened(settings) as trusted:
        removed = await trusted.remove(hashes)
    if not removed:
        raise NotFound("document")
    echo(f"Removed {removed} documents. Running servers forget them within a minute.")


def read_documents(path: Path) -> Iterator[FoundDocument]:
    """Yield the documents of a file, or of all files in a folder, in the order of their names.

    Raises:
        InvalidInput: a file is not text, or not of a form that is known.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and file.suffix in (*SUFFIXES, ".json"):
                yield from read_documents(file)
        return
    try:
        # Letter by letter: the id is the SHA-256 of just this, whatever its lines end with.
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput.at("paths", f"{path} is not UTF-8 text.") from None
    if path.suffix != ".json":
        yield FoundDocument(text, str(path))
        return
    try:
        content = json.loads(text)
    except ValueError:
        raise InvalidInput.at("paths", f"{path} is not JSON.") from None
    for id_, body in _pairs(content, path):
        yield FoundDocument(body, f"{path} ({id_[:12]})", id_)


def _pairs(content: object, path: Path) -> list[tuple[str, str]]:
    if isinstance(content, dict) and content.get("format") == MANIFEST:
        operations = content.get("operations")
        entries = [entry for entry in operations if isinstance(entry, dict)] if isinstance(operations, list) else []
        pairs = [(entry.get("id"), entry.get("body")) for entry in entries]
    else:
        pairs = list(content.items()) if isinstance(content, dict) else [(None, None)]
    checked = [(id_, body) for id_, body in pairs if isinstance(id_, str) and isinstance(body, str)]
    if len(checked) < len(pairs):
        raise InvalidInput.at(
            "paths", f"{path} is no map of hashes to documents, and no manifest of persisted queries."
        )
    return checked


def _problems(found: Sequence[FoundDocument]) -> Iterator[str]:
    schema = build_schema()._schema
    for document in found:
        expected = document_hash(document.body)
        if document.id is not None and document.id.lower().removeprefix("sha256:") != expected:
            yield (
                f"{document.where}: its id is not the SHA-256 of its text. Set `hashAlgorithm: 'sha256'` in codegen's "
                "`persistedDocuments`, or `algorithm: SHA256` in Relay's `persistConfig`."
            )
            continue
        for error in _errors(document.body, schema):
            place = f":{error.locations[0].line}" if error.locations else ""
            yield f"{document.where}{place}: {error.message}"


def _errors(body: str, schema: GraphQLSchema) -> list[GraphQLError]:
    try:
        return validate(schema, parse(body, max_tokens=MAX_TOKENS))
    except GraphQLError as error:
        return [error]


def _operation_names(body: str) -> list[str]:
    document: DocumentNode = parse(body, no_location=True)
    return [
        f"{node.operation.value} {node.name.value if node.name else ''}".strip()
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    ]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncGenerator[TrustedDocuments, None]:
    async with database_access(settings) as access:
        database = access.open_app()
        try:
            yield TrustedDocuments(database)
        finally:
            await database.close()
