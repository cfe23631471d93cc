"""A disk without room: uploads are refused with a word that helps, everything else goes on, and room heals it."""

import resource
from pathlib import Path

from tests.graphql_client import Refused, register, visiting
from tests.journey.steps import ADD_TEXT, UPLOAD, ask, check_log, new_bot, stored, until_read, watched
from tests.server_process import Server, serving

LIMIT_BYTES = 256 * 1024
LARGE = b"The archive of the harbour master. " * 20_000


def set_largest_file(server: Server, size: int) -> None:
    """What the server's process, and nobody else, may write into one file; beyond, it is like a full disk."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


async def test_without_room_uploads_are_refused_and_nothing_else_suffers(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot_id = await new_bot(user)
        note = await user.run(ADD_TEXT, bot=bot_id, title="Note", text="The harbour light is green.")
        await until_read(user, note["id"])
        set_largest_file(server, LIMIT_BYTES)
        try:
            refusals = []
            for _ in range(3):
                try:
                    await user.upload(UPLOAD, "archive.txt", LARGE, bot=bot_id)
                except Refused as refused:
                    refusals.append(refused)
            answer_id = await ask(user, bot_id, "Which colour has the harbour light?")
            events = await watched(user, answer_id)
            small = await user.upload(UPLOAD, "small.txt", b"The harbour bell is of bronze.", bot=bot_id)
            assert (await until_read(user, small["id"]))[-1]["status"] == "READY"
        finally:
            set_largest_file(server, resource.RLIM_INFINITY)
        again = await user.upload(UPLOAD, "archive.txt", LARGE, bot=bot_id)

        assert [refused.codes for refused in refusals] == [["OVERLOADED"]] * 3
        assert {refused.errors[0]["message"] for refused in refusals} == {
            "The server has no room for this file at the moment. Nothing was stored: try again later."
        }
        check_log(events, await stored(user, answer_id))
        assert (await until_read(user, again["id"]))[-1]["status"] == "READY"
        assert len([path for path in (tmp_path / "data" / "files").rglob("*") if path.is_file()]) == 3
        assert server.faults() == []
