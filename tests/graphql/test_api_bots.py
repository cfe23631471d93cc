"""A bot's language over the API, with a server that encodes what it has anew."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kyrochat.app import KyroApp
from kyrochat.db.access import DatabaseAccess
from kyrochat.db.embedded import DatabaseUrls
from kyrochat.retrieval.providers import Providers
from kyrochat.setting_values import Switch
from kyrochat.settings import Settings
from tests.access.asgi import lifespan, post
from tests.chat.scripted_model import ScriptedModel
from tests.graphql.conftest import Owner
from tests.jobs.scene import until
from tests.journey.steps import new_bot

REGISTER = """mutation { register(input: {email: "ada@example.com", password: "correct horse battery staple"}) {
  ... on Session { accessToken } } }"""
CREATE = """mutation ($language: Language) { createBot(input: {name: "Bot", language: $language}) {
  ... on Bot { id language } } }"""
UPDATE = """mutation ($id: ID!, $language: Language) { updateBot(input: {id: $id, language: $language}) {
  ... on Bot { language } } }"""
ADD = """mutation ($bot: ID!) { addTextDocument(input: {botId: $bot, title: "T", text: "Zwei Häuser am Rhein."}) {
  ... on Document { id } } }"""
READY = "query ($id: ID!) { document(id: $id) { status } }"
SEARCH = "query ($bot: ID!, $words: String!) { search(botId: $bot, query: $words) { text } }"


@pytest.fixture
async def app(urls: DatabaseUrls, tmp_path: Path) -> AsyncGenerator[KyroApp, None]:
    settings = Settings(
        _env_file=None,
        secret_key=SecretStr("the signing secret of these tests"),
        data_dir=tmp_path,
        workers=1,
        rate_limits=Switch.OFF,
    )
    app = KyroApp(settings, DatabaseAccess(urls), provided=Providers(ScriptedModel(lambda prompt: [prompt.question])))
    async with lifespan(app):
        yield app


async def test_a_language_can_be_set_and_changed_and_the_documents_follow(app: KyroApp) -> None:
    session = (await post(app, REGISTER, {}, {})).value("register")
    headers = {"Authorization": f"Bearer {session['accessToken']}"}

    async def run(query: str, **variables: Any) -> Any:
        answer = await post(app, query, variables, headers)
        assert answer.errors == []
        (value,) = answer.results[0]["data"].values()
        return value

    bot = await run(CREATE, language="ENGLISH")
    assert bot["language"] == "ENGLISH"
    document = await run(ADD, bot=bot["id"])

    async def is_ready() -> bool:
        return bool((await run(READY, id=document["id"]))["status"] == "READY")

    async def finds(words: str) -> bool:
        return bool(await run(SEARCH, bot=bot["id"], words=words))

    await until(is_ready)
    assert (await finds("Häuser"), await finds("Hauses")) == (True, False)

    assert await run(UPDATE, id=bot["id"], language="GERMAN") == {"language": "GERMAN"}
    await until(lambda: finds("Hauses"))
    assert await finds("Häuser")
    # Null leaves it as it is.
    assert await run(UPDATE, id=bot["id"], language=None) == {"language": "GERMAN"}

    refused = await post(app, UPDATE, {"id": bot["id"], "language": "KLINGON"}, headers)
    assert [error["extensions"]["code"] for error in refused.errors] == ["BAD_USER_INPUT"]


ALPHA = "mutation ($input: UpdateBotInput!) { updateBot(input: $input) { ... on Bot { alpha topK } } }"


async def test_alpha_goes_back_to_the_default_with_null_and_nothing_else_does(owner: Owner) -> None:
    bot = await new_bot(owner.user, "Weighed")

    seen = [
        await owner.user.run(ALPHA, input={"id": bot, **fields})
        for fields in ({"alpha": 0.25, "topK": 3}, {}, {"topK": None}, {"alpha": None}, {"alpha": 1})
    ]

    assert [(each["alpha"], each["topK"]) for each in seen] == [(0.25, 3), (0.25, 3), (0.25, 3), (None, 3), (1, 3)]
