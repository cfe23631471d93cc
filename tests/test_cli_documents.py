"""`kyrochat documents` beside a running server that runs no other documents."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from kyrochat.graphql.link_pages import page_documents
from kyrochat.trusted.documents import document_hash
from tests.graphql_client import GraphQLClient, visiting
from tests.server_process import Server, serving
from tests.test_cli import fails_with_one_line, run

INFO = "query Info { serverInfo { version } }"
VERSION = "{ serverInfo { offlineMode } }"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    data_dir = tmp_path_factory.mktemp("documents") / "data"
    async with serving(data_dir, KYROCHAT_TRUSTED_DOCUMENTS="required") as server:
        yield server


@pytest.fixture(scope="module")
async def visitor(server: Server) -> AsyncGenerator[GraphQLClient, None]:
    async with visiting(server.graphql_url) as client:
        yield client


async def documents(server: Server, *arguments: str | Path) -> str:
    done = await asyncio.to_thread(run, "documents", *map(str, arguments), "--data-dir", server.data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def refusal(server: Server, *arguments: str | Path) -> str:
    done = await asyncio.to_thread(run, "documents", *map(str, arguments), "--data-dir", server.data_dir)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


async def codes(visitor: GraphQLClient, **body: object) -> list[str]:
    answer = (await visitor.post(json.dumps(body))).json()
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


async def test_a_server_runs_a_document_as_soon_as_it_is_registered(
    server: Server, visitor: GraphQLClient, tmp_path: Path
) -> None:
    (tmp_path / "info.graphql").write_text(INFO)
    assert await documents(server, "list") == "No documents are registered.\n"
    assert await codes(visitor, query=INFO) == ["PERSISTED_QUERY_ID_REQUIRED"]
    assert await codes(visitor, documentId=document_hash(INFO)) == ["PERSISTED_QUERY_NOT_FOUND"]

    assert await documents(server, "register", tmp_path) == "Registered 1 documents.\n"

    assert await codes(visitor, query=INFO) == []
    assert await codes(visitor, documentId=f"sha256:{document_hash(INFO)}") == []
    assert await codes(visitor, query=VERSION) == ["PERSISTED_QUERY_ID_REQUIRED"]
    assert await documents(server, "register", tmp_path) == "Registered 0 documents; 1 were there.\n"
    (line,) = (await documents(server, "list")).splitlines()
    assert (line.split("  ")[0], line.split("  ")[2]) == (document_hash(INFO), "query Info")


async def test_a_file_has_the_id_that_its_bytes_have(server: Server, visitor: GraphQLClient, tmp_path: Path) -> None:
    written = b"query Lines {\r\n  serverInfo { version }\r\n}\r\n"
    (tmp_path / "lines.graphql").write_bytes(written)
    await documents(server, "register", tmp_path)

    assert await codes(visitor, documentId=hashlib.sha256(written).hexdigest()) == []


async def test_the_servers_own_pages_go_on(visitor: GraphQLClient) -> None:
    for document in page_documents():
        refused = await codes(visitor, query=document)
        assert not [code for code in refused if code.startswith("PERSISTED_QUERY")], document


async def test_what_build_tools_write_is_read(server: Server, visitor: GraphQLClient, tmp_path: Path) -> None:
    first, second = "query First { serverInfo { version } }", "query Second { serverInfo { version } }"
    (tmp_path / "persisted-documents.json").write_text(json.dumps({document_hash(first): first}))
    operation = {"id": document_hash(second), "body": second, "name": "Second", "type": "query"}
    manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert await documents(server, "register", *tmp_path.iterdir()) == "Registered 2 documents.\n"

    assert await codes(visitor, documentId=document_hash(first)) == []
    assert await codes(visitor, documentId=document_hash(second)) == []
    removed = await documents(server, "remove", document_hash(first), f"sha256:{document_hash(second)}")
    assert removed == "Removed 2 documents. Running servers forget them within a minute.\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.graphql", "query {", "broken.graphql:1: Syntax Error: Expected Name, found <EOF>."),
        ("other.graphql", "\n{ nothing }", "other.graphql:2: Cannot query field 'nothing' on type 'Query'."),
        ("sha1.json", json.dumps({"0" * 40: INFO}), "its id is not the SHA-256 of its text. Set `hashAlgorithm"),
        ("list.json", "[1]", "is no map of hashes to documents"),
        ("text.json", "{", "is not JSON."),
        ("latin.graphql", b"# \xff", "is not UTF-8 text."),
    ],
)
async def test_what_is_not_right_is_told_and_nothing_is_registered(
    server: Server, tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    before = await documents(server, "list")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "right.graphql").write_text("query Right { serverInfo { version } }")

    assert reason in await refusal(server, "register", tmp_path / "right.graphql", tmp_path / name)

    assert await documents(server, "list") == before


async def test_mistakes_in_a_command_are_one_line_each(server: Server, tmp_path: Path) -> None:
    for arguments, reason in (
        (("register", tmp_path), "There is no document."),
        (("remove", "abc"), "An id has 64 hexadecimal digits"),
        (("remove", "f" * 64), "There is no such document."),
    ):
        done = await asyncio.to_thread(run, "documents", *map(str, arguments), "--data-dir", server.data_dir)
        assert reason in fails_with_one_line(done)
