"""What people say and what lets them in is nowhere but where it belongs: not in the log, not in the audit log."""

import asyncio
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from kyrochat.db.embedded import EmbeddedPostgres
from kyrochat.db.engine import open_database
from tests.graphql_client import GraphQLClient, Refused, visiting
from tests.journey.steps import EVENTS, SEND, STOP, seen, until_read
from tests.server_process import Server, serving

SESSION = "... on Session { accessToken refreshToken } ... on Problem { message }"


@dataclass
class Canaries:
    """Words that nobody else says, by what they stand for."""

    words: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        return self.words.setdefault(name, f"canary{secrets.token_hex(8)}")

    def keep(self, name: str, secret: str) -> str:
        """Note a secret that the server has made."""
        self.words[name] = secret
        return secret

    def in_(self, text: str) -> list[str]:
        """Return what of them is in a text. A token is known by any third of it."""
        return [
            name
            for name, word in self.words.items()
            if any(part in text for part in (word, *(word[n : n + 30] for n in range(0, len(word) - 29, 30))))
        ]


async def audit_table(server: Server) -> str:
    """Return the whole table as text, in the words of PostgreSQL."""
    postgres = await asyncio.to_thread(EmbeddedPostgres.start, server.data_dir)
    try:
        database = open_database(postgres.urls.app)
        async with database.begin(administers=True) as session:
            rows = (
                await (await session.connection()).execute(text("SELECT audit_entries::text FROM audit_entries"))
            ).all()
        await database.close()
    finally:
        await asyncio.to_thread(postgres.stop)
    return "\n".join(row[0] for row in rows)


async def test_no_secret_and_no_word_of_anybody_gets_into_a_log(tmp_path: Path) -> None:
    canary = Canaries()
    async with serving(tmp_path / "data") as server, visiting(server.graphql_url) as visitor:
        user = await signed_in(visitor, canary)
        await everything_that_works(user, canary)
        await everything_that_fails(user, canary)
        table = await audit_table(server)
        log = server.log.read_text("utf-8")
        faults = server.faults()

    assert faults == []
    # The log was written, and tells of refusals; so does the table of what was done.
    assert "Refused" in log
    for act in ("BOT_CHANGED", "BOT_DELETED", "DOCUMENT_DELETED", "CONVERSATION_DELETED", "API_KEY_REVOKED"):
        assert act in table
    assert len(canary.words) > 20
    assert canary.in_(table) == []
    assert canary.in_(log) == []


def test_the_check_above_finds_what_it_looks_for() -> None:
    canary = Canaries()
    canary("bot")
    token = canary.keep("token", "kck_" + secrets.token_urlsafe(32))
    assert canary.in_(f"... {canary('bot')} ...") == ["bot"]
    assert canary.in_(f"... {token[:32]} ...") == ["token"]
    assert canary.in_("nothing") == []


async def signed_in(visitor: GraphQLClient, canary: Canaries) -> GraphQLClient:
    """Register, sign in again and refresh: each gives secrets."""
    email, password = f"{canary('email')}@example.org", f"correct {canary('password')}"
    person = {"email": email, "password": password}
    session: dict[str, Any] = {}
    for turn, operation in enumerate(
        (
            f"mutation ($email: String!, $password: String!) {{ register(input: {{email: $email, password: $password,"
            f' name: "{canary("name")}"}}) {{ {SESSION} }} }}',
            f"mutation ($email: String!, $password: String!) {{ login(input: {{email: $email, password: $password}})"
            f" {{ {SESSION} }} }}",
        )
    ):
        session = await visitor.run(operation, **person)
        for name, secret in session.items():
            canary.keep(f"{name} {turn}", secret)
    refreshed = await visitor.run(
        f"mutation ($token: String!) {{ refreshSession(input: {{refreshToken: $token}}) {{ {SESSION} }} }}",
        token=session["refreshToken"],
    )
    for name, secret in refreshed.items():
        canary.keep(f"{name} refreshed", secret)
    return replace(visitor, token=refreshed["accessToken"])


async def everything_that_works(user: GraphQLClient, canary: Canaries) -> None:
    """Make a bot, a document and a key, ask, stop, change and delete."""
    bot = await user.run(
        """mutation ($input: CreateBotInput!) { createBot(input: $input) { ... on Bot { id } } }""",
        input={name: canary(f"bot {name}") for name in ("name", "description", "instructions", "greeting")}
        | {"suggestedQuestions": [canary("suggestion")]},
    )
    await user.run(
        "mutation ($id: ID!, $name: String!) { updateBot(input: {id: $id, name: $name}) { __typename } }",
        id=bot["id"],
        name=canary("new name"),
    )
    words = f"The {canary('document')} is wound on Mondays. Its keys hang behind the counter."
    document = await user.run(
        """mutation ($bot: ID!, $title: String!, $text: String!) {
        addTextDocument(input: {botId: $bot, title: $title, text: $text}) { ... on Document { id } } }""",
        bot=bot["id"],
        title=canary("title"),
        text=words,
    )
    await until_read(user, document["id"])
    made = await user.run(
        """mutation ($name: String!) { createApiKey(input: {name: $name, scopes: [CHAT]}) {
        ... on ApiKeyCreated { secret apiKey { id } } } }""",
        name=canary("key"),
    )
    program = replace(user, token=canary.keep("secret", made["secret"]))
    conversation = await program.run(
        """mutation ($bot: ID!, $title: String!) { startConversation(input: {botId: $bot, title: $title}) {
        ... on Conversation { id } } }""",
        bot=bot["id"],
        title=canary("conversation"),
    )
    question = f"When is the {canary('document')} wound, and what of {canary('question')}?"
    exchange = await program.run(SEND, conversation=conversation["id"], text=question, key=canary("idempotency"))
    without_passages = EVENTS.replace("passages { start end text document { id } }", "")
    events = await seen(program.watch(without_passages, id=exchange["answer"]["id"]))
    assert canary("document") in json.dumps(events)
    await program.run(STOP, id=exchange["answer"]["id"])
    await user.run(
        "query ($bot: ID!, $words: String!) { search(botId: $bot, query: $words) { text } }",
        bot=bot["id"],
        words=canary("search"),
    )
    await program.run("mutation ($id: ID!) { deleteConversation(id: $id) { __typename } }", id=conversation["id"])
    await user.run("mutation ($id: ID!) { revokeApiKey(id: $id) { __typename } }", id=made["apiKey"]["id"])
    await user.run("mutation ($id: ID!) { deleteDocument(id: $id) { __typename } }", id=document["id"])
    await user.run("mutation ($id: ID!) { deleteBot(id: $id) { __typename } }", id=bot["id"])
    with suppress(Refused):
        await program.run("{ bots { totalCount } }")


async def everything_that_fails(user: GraphQLClient, canary: Canaries) -> None:
    """Send the same kinds of words where they are refused, in each way that there is to refuse them."""
    wrong = canary("wrong")
    operations: list[tuple[str, dict[str, Any]]] = [
        ("mutation ($w: String!) { login(input: {email: $w, password: $w}) { __typename } }", {"w": wrong}),
        (
            "mutation ($e: String!, $w: String!) { login(input: {email: $e, password: $w}) { __typename } }",
            {"e": f"{canary('email')}@example.org", "w": wrong},
        ),
        ('mutation ($w: String!) { register(input: {email: $w, password: "x"}) { __typename } }', {"w": wrong}),
        ("mutation ($w: String!) { refreshSession(input: {refreshToken: $w}) { __typename } }", {"w": f"kcr_{wrong}"}),
        ("query ($w: ID!) { bot(id: $w) { name } }", {"w": wrong}),
        ("query ($w: ID!) { search(botId: $w, query: $w) { text } }", {"w": wrong}),
        ("query ($w: Int!) { bots(first: $w) { totalCount } }", {"w": wrong}),
        ("query ($w: String!) { bots(after: $w) { totalCount } }", {"w": wrong}),
        (f"{{ {wrong} }}", {}),
        (f'{{ bots(first: "{wrong}") {{ totalCount }} }}', {}),
        (f"{{ bots {{ totalCount }} }} # {wrong} {{{{", {}),
        ("mutation ($w: String!) { createBot(input: {name: $w}) { __typename } }", {"w": wrong + "x" * 200}),
        (
            'mutation ($w: [String!]!) { createApiKey(input: {name: "x", scopes: [CHAT], allowedOrigins: $w})'
            " { __typename } }",
            {"w": [f"https://{wrong}/x"]},
        ),
    ]
    for query, variables in operations:
        await user.answer(query, variables)
    for token in (f"kck_{wrong}", wrong, f"eyJhbGciOiJub25lIn0.{wrong}."):
        await replace(user, token=token).answer("{ me { id } }")
        with suppress(Exception):
            async with replace(user, token=token).socket():
                pass
    for body in (f'{{"query": "{wrong}', f'["{wrong}"]', wrong):
        await user.post(body)
