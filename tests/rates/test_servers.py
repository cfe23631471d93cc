"""Two servers and one Redis, as an operator runs them: it is there, then it dies, then it is back."""

from pathlib import Path

from tests.graphql_client import GraphQLClient, visiting
from tests.rates.redis_process import RedisProcess, needs_redis
from tests.server_process import Server, serving

GUESS = """mutation ($email: String!) {
  login(input: {email: $email, password: "guess"}) { __typename ... on RateLimitedProblem { retryAfterSeconds } }
}"""


async def guesses(client: GraphQLClient, email: str, times: int) -> int:
    """Guess so often, and return how often it was tried."""
    outcomes = [(await client.run(GUESS, email=email))["__typename"] for _ in range(times)]
    assert set(outcomes) <= {"InvalidCredentialsProblem", "RateLimitedProblem"}
    return outcomes.count("InvalidCredentialsProblem")


def said(server: Server, words: str) -> int:
    return server.log.read_text("utf-8").count(words)


@needs_redis
async def test_two_servers_count_together_and_each_alone_while_redis_is_away(
    redis: RedisProcess, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    settings = {"KYROCHAT_RATE_LIMITS": "on", "KYROCHAT_REDIS_URL": redis.url}
    async with (
        serving(data_dir, **settings) as a,
        serving(data_dir, **settings) as b,
        visiting(a.graphql_url) as at_a,
        visiting(b.graphql_url) as at_b,
    ):
        assert await guesses(at_a, "ada@example.org", 6) + await guesses(at_b, "ada@example.org", 6) == 10

        redis.kill()
        assert await guesses(at_a, "ada@example.org", 12) == 10
        assert await guesses(at_b, "bob@example.org", 12) == 10
        assert (await at_a.run("{ serverInfo { version } }"))["version"]
        assert [said(server, "Redis does not answer") for server in (a, b)] == [1, 1]

        redis.start()
        # One request a second looks for it: these are enough to find it, whenever that second is over.
        while not all(said(server, "Redis is back") for server in (a, b)):
            for client in (at_a, at_b):
                await client.run("{ serverInfo { version } }")
        assert await guesses(at_a, "eve@example.org", 6) + await guesses(at_b, "eve@example.org", 6) == 10
        assert (a.faults(), b.faults()) == ([], [])
