"""Clients and tools from npm on a running server; `make clients` installs them."""

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.server_process import Server, serving

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
TIMEOUT_S = 110

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on this machine."),
    pytest.mark.skipif(
        not (HERE / "node_modules" / ".package-lock.json").is_file(), reason="`make clients` has not installed them."
    ),
]


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server, None]:
    async with serving(tmp_path_factory.mktemp("clients") / "data", KYROCHAT_RATE_LIMITS="off") as server:
        yield server


async def node_tests(name: str, **variables: str) -> None:
    """Run a file of Node tests, and fail with what it says."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "--test",
        "--test-reporter=spec",
        str(HERE / name),
        cwd=HERE,
        env={**os.environ, "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")
    # A file in which no test was found would pass as well.
    assert "ℹ pass 0" not in said.decode()


async def test_the_audit_of_graphql_over_http_passes_in_all_its_parts(server: Server) -> None:
    await node_tests("audit.test.mjs", KYROCHAT_URL=server.graphql_url)


async def test_each_client_makes_the_whole_journey(server: Server) -> None:
    await node_tests("journey.test.mjs", KYROCHAT_URL=server.graphql_url)
    assert server.faults() == []


async def test_tools_take_the_schema(tmp_path: Path) -> None:
    await node_tests(
        "schema.test.mjs", KYROCHAT_SCHEMA=str(REPOSITORY / "schema.graphql"), KYROCHAT_SCRATCH=str(tmp_path)
    )
