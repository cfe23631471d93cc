"""A tool of a bot, for the walk over the schema."""

from typing import Any

from kyrochat.db.engine import Database
from kyrochat.db.models import BotTool
from kyrochat.graphql.ids import global_id
from tests.access.cast import Things


async def add_tool(database: Database, of_bot: dict[str, Any], word: str) -> Things:
    """Add a tool of the bot."""
    tool = BotTool(
        **of_bot,
        name=f"feed_{word}",
        description=f"Feeds the {word}.",
        method="GET",
        url=f"https://tools.example/{word}",
        parameters={"type": "object", "properties": {word: {"type": "string"}}, "required": []},
        header_names=[f"X-{word}"],
        sealed_headers=word.encode(),
    )
    async with database.begin([of_bot["workspace_id"]]) as session:
        session.add(tool)
    return {"BotTool": global_id("BotTool", tool.id)}
