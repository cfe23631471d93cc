"""Clients that send all that was said, many of them the same: each is answered."""

from uuid import UUID

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from kyrochat.accounts.viewer import Viewer
from kyrochat.bots.service import BotService
from kyrochat.chat.transcripts import Transcripts
from kyrochat.openai_api.routes import OpenAIRoutes, OpenAIServices
from tests.chat.scene import Chat


async def test_a_history_on_which_as_many_have_gone_on_as_may_be_goes_on_in_another_conversation(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kyrochat.chat.exchanges.MAX_SIBLINGS", 2)
    chat.model.script = ["Well."]
    bots = BotService(chat.a.database, chat.a.changes)
    services = OpenAIServices(
        bots, chat.a.service, Transcripts(chat.a.database), lambda _, row_id: str(row_id), lambda _, told: UUID(told)
    )

    async def viewer_of(_: Request) -> Viewer:
        return chat.viewer

    app = Starlette(routes=OpenAIRoutes(lambda: services, viewer_of).routes())
    headers = {"Authorization": "Bearer kck"}
    history = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Well."}]
    told = [history[:1], *([*history, {"role": "user", "content": f"And {n}?"}] for n in range(4))]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), headers=headers) as http:
        answers = [
            await http.post(
                "http://127.0.0.1/v1/chat/completions", json={"model": str(chat.bot.id), "messages": messages}
            )
            for messages in told
        ]

    assert [answer.status_code for answer in answers] == [200] * 5
    places = [answer.json()["kyrochat"]["conversation"] for answer in answers]
    assert [places.index(place) for place in places] == [0, 0, 0, 3, 4]
    shown = [[turn.text for turn in prompt.history] for prompt in chat.model.prompts]
    assert shown == [[], *[["Hello?", "Well."]] * 4]
