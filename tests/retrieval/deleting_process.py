"""Deletes documents in a process of its own, one for each line on standard input: `python -m … JSON`."""

import asyncio
import json
import sys
from uuid import UUID

from sqlalchemy import text

from kyrochat.db.engine import open_database


async def main(url: str, workspace_id: str, documents: list[str]) -> None:
    database = open_database(url)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    for document_id in documents:
        await lines.readline()
        async with database.begin([UUID(workspace_id)]) as session:
            statement = text("UPDATE documents SET deleted_at = now() WHERE id = :id")
            await (await session.connection()).execute(statement, {"id": document_id})
        print("gone", flush=True)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
