"""What the server says of itself to Prometheus: what happened, how it stands, and nothing of anybody's."""

import re
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.graphql_client import register, visiting
from tests.journey.steps import ADD_TEXT, SEND, new_bot, new_conversation, until_read, watched
from tests.server_process import Server, serving

TOKEN = "a-token-of-the-operators-0123"
NOTE = "The tower clock is wound on Mondays. The keys hang behind the counter."


async def samples(server: Server, **headers: str) -> dict[str, float]:
    """Return what `/metrics` says, as `name{label=value,...}`."""
    async with httpx2.AsyncClient(headers=headers) as client:
        response = await client.get(f"{server.url}/metrics")
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/plain")
    return {
        sample.name + ("{" + ",".join(sample.labels.values()) + "}" if sample.labels else ""): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_what_was_done_is_counted_and_names_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, visiting(server.graphql_url) as visitor:
        user = await register(visitor)
        bot = await new_bot(user)
        document = await user.run(ADD_TEXT, bot=bot, title="Clock", text=NOTE)
        await until_read(user, document["id"])
        conversation = await new_conversation(user, bot)
        exchange = await user.run(SEND, conversation=conversation, text="When is the clock wound?")
        await watched(user, exchange["answer"]["id"])
        async with user.socket():
            found = await samples(server)
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{server.url}/nowhere/{bot}")).status_code == 404
            text = (await client.get(f"{server.url}/metrics")).text

    assert found["kyrochat_answers_total{COMPLETED}"] == 1
    assert found["kyrochat_answer_first_words_seconds_count"] == 1
    assert found["kyrochat_search_seconds_count{documents}"] == 1
    assert (found["kyrochat_search_legs_total{LEXICAL,OK}"], found["kyrochat_search_legs_total{DENSE,OFF}"]) == (1, 1)
    assert found["kyrochat_jobs_total{done,ingest_document}"] == 1
    assert found["kyrochat_request_seconds_count{/graphql,200}"] >= 5
    assert (found["kyrochat_answers_open{running}"], found["kyrochat_answers_open{waiting}"]) == (0, 0)
    assert (found["kyrochat_database_up"], found["kyrochat_sockets_open"]) == (1, 1)
    assert found["kyrochat_database_connections{idle}"] >= 1
    assert 'route="other",status="404"' in text
    assert not [word for word in (bot, document["id"], "Clock", "wound") if word in text]
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)


async def test_without_a_token_only_this_machine_sees_them_and_no_proxy_on_it(tmp_path: Path) -> None:
    async with serving(tmp_path / "data") as server, httpx2.AsyncClient() as client:
        url = f"{server.url}/metrics"

        assert (await client.get(url)).status_code == 200
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            refused = await client.get(url, headers={header: "203.0.113.9"})
            assert (refused.status_code, "KYROCHAT_METRICS_TOKEN" in refused.text) == (403, True)
        assert (await client.post(url)).status_code == 405


async def test_with_a_token_whoever_has_it_sees_them_and_nobody_else(tmp_path: Path) -> None:
    async with serving(tmp_path / "data", KYROCHAT_METRICS_TOKEN=TOKEN) as server, httpx2.AsyncClient() as client:
        url = f"{server.url}/metrics"
        for wrong in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer é"):
            refused = await client.get(url, headers={b"Authorization": wrong.encode()})
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")

        assert "kyrochat_database_up" in await samples(server, Authorization=f"Bearer {TOKEN}")
        assert "kyrochat_database_up" in await samples(
            server, **{"Authorization": f"bearer {TOKEN}", "X-Forwarded-For": "203.0.113.9"}
        )
        assert server.faults() == []
