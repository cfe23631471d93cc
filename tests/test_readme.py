"""What the README says is run as it is written."""

import asyncio
import re
from pathlib import Path

from kyrochat.settings import Settings
from tests.server_process import serving

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


async def test_the_minute_of_graphql_and_the_keys_run_as_written(tmp_path: Path) -> None:
    parts = section("GraphQL in 60 seconds") + section("API keys")
    script = "".join(re.findall(r"```sh\n(.*?)```", parts, re.DOTALL))
    async with serving(tmp_path / "data") as server:
        bash = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            cwd=tmp_path,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": ""},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await bash.communicate(script.replace("http://127.0.0.1:8000", server.url).encode())

        said = output.decode()
        assert bash.returncode == 0, said
        assert '"isAdmin":true' in said
        assert '"uploadDocument":{"title":"shop.txt","mediaType":"text/plain","byteSize":78}' in said
        # Where the text is cut into events depends on the moment; what it says does not.
        shown = re.findall(r"^data: (.*\S)$", section("GraphQL in 60 seconds"), re.MULTILINE)
        (ending,) = [re.sub(r'"sequence":\d+,', "", line) for line in shown if '"grounded"' in line]
        assert ending in re.sub(r'"sequence":\d+,', "", said)
        assert said.count('"quote":') == sum(line.count('"quote":') for line in shown)
        assert '"createApiKey":{"secret":"kck_' in said
        assert '"addTextDocument":{"status":"QUEUED"}' in said.partition('"createApiKey"')[2]
        assert server.faults() == []


def test_the_table_of_settings_names_every_setting_with_its_description() -> None:
    rows = dict(re.findall(r"^\| `KYROCHAT_(\w+)` \| .*? \| (.*) \|$", section("Settings"), re.MULTILINE))

    assert rows == {name.upper(): field.description for name, field in Settings.model_fields.items()}
