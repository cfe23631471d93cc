"""Every root field with whatever its types allow, generated from the schema; `make fuzz` installs what generates it."""

import asyncio
import os
import re
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from kyrochat.graphql.schema import build_schema
from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, ask, new_bot, until_read, watched
from tests.server_process import serving

ROOT = Path(__file__).parents[2]
SCHEMATHESIS = ROOT / ".venv-fuzz" / "bin" / "schemathesis"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "4")
# They end the session that all others need.
ENDING = ("logout", "logoutEverywhere", "endSession", "deleteAccount")


@pytest.mark.skipif(not SCHEMATHESIS.is_file(), reason="`make fuzz` has not installed schemathesis.")
@pytest.mark.timeout(600)
async def test_no_root_field_breaks_whatever_it_is_asked(tmp_path: Path) -> None:
    async with (
        serving(tmp_path / "data", KYROCHAT_TOOL_HOSTS="tools.example") as server,
        visiting(server.graphql_url) as visitor,
    ):
        user = await register(visitor)
        bot = await new_bot(user)
        await until_read(user, (await user.run(ADD_TEXT, bot=bot, title="Clock", text="It is wound on Mondays."))["id"])
        await watched(user, await ask(user, bot, "When is it wound?"))
        process = await asyncio.create_subprocess_exec(
            str(SCHEMATHESIS),
            "run",
            server.graphql_url,
            *("--header", f"Authorization: Bearer {user.token}"),
            *("--checks", "not_a_server_error", "--phases", "fuzzing", "--max-examples", EXAMPLES),
            *("--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off"),
            *("--exclude-name-regex", rf"Mutation\.({'|'.join(ENDING)})$"),
            cwd=tmp_path,
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "fuzz_hooks",
                "PYTHONPATH": str(Path(__file__).parent),
                "NO_COLOR": "1",
                "NO_PROXY": "127.0.0.1",
            },
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
        said = output.decode(errors="replace")
        faults = server.faults()

    assert (process.returncode, faults) == (0, []), said
    schema = build_schema()._schema
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    fields = len(schema.query_type.fields) + len(schema.mutation_type.fields)
    tested = re.search(r"Tested: (\d+)", said)
    assert tested is not None, said
    assert int(tested[1]) == fields - len(ENDING), said
