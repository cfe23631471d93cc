"""At other people's sites we ask first, one question at a time, and take a pause for an answer."""

import asyncio
from itertools import pairwise

import pytest

from kyrochat.documents.web.manners import Visitor
from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.fetching import Fetched, Unchanged, Validators
from tests.outbound.wire import (
    PUBLIC,
    RecordingNetwork,
    Request,
    answer,
    by_target,
    fetcher,
    listening,
    names,
    quick,
    saying,
)

NOTHING = answer(status="404 Not Found")


def robots(text: str) -> bytes:
    return answer(text.encode(), content_type="text/plain")


def visitor(**collaborators: object) -> Visitor:
    return Visitor(fetcher(**collaborators), pause_s=0)  # type: ignore[arg-type]


async def test_robots_txt_is_read_once_and_heard() -> None:
    site = {"/robots.txt": robots("User-agent: *\nDisallow: /private"), "/a": answer(b"a"), "/private": answer(b"no")}
    async with listening(by_target(site)) as wire:
        guest = visitor()
        first = await guest.fetch(wire.address("/a"))
        second = await guest.fetch(wire.address("/a"))
        with pytest.raises(FetchFailed, match=r"robots\.txt asks programs not to read this page") as refused:
            await guest.fetch(wire.address("/private"))

    assert isinstance(first, Fetched)
    assert first.body == b"a"
    assert second == first
    assert not refused.value.retryable
    assert wire.targets == ["/robots.txt", "/a", "/a"]


async def test_a_redirect_is_no_way_round_robots_txt() -> None:
    async with listening(
        by_target({"/robots.txt": robots("User-agent: KyroChat\nDisallow: /"), "/": answer(b"no")})
    ) as shy:
        site = {"/robots.txt": NOTHING, "/go": answer(status="302 Found", location=str(shy.address("/")))}
        async with listening(by_target(site)) as wire:
            with pytest.raises(FetchFailed, match=r"robots\.txt"):
                await visitor().fetch(wire.address("/go"))

    assert (wire.targets, shy.targets) == (["/robots.txt", "/go"], ["/robots.txt"])


async def test_robots_txt_may_be_somewhere_else() -> None:
    site = {
        "/robots.txt": answer(status="301 Moved", location="/rules.txt"),
        "/rules.txt": robots("User-agent: *\nDisallow: /x"),
    }
    async with listening(by_target(site)) as wire:
        with pytest.raises(FetchFailed, match=r"robots\.txt"):
            await visitor().fetch(wire.address("/x"))

    assert wire.targets == ["/robots.txt", "/rules.txt"]


@pytest.mark.parametrize(
    "none", [NOTHING, answer(status="403 Forbidden"), answer(status="410 Gone"), answer(b"<html>")]
)
async def test_a_site_without_rules_may_be_read(none: bytes) -> None:
    async with listening(by_target({"/robots.txt": none, "/a": answer(b"a")})) as wire:
        found = await visitor().fetch(wire.address("/a"))

    assert isinstance(found, Fetched)
    assert found.body == b"a"


@pytest.mark.parametrize("broken", [answer(status="500 Internal Server Error"), b"junk", b""])
async def test_a_site_that_cannot_say_its_rules_is_not_entered(broken: bytes) -> None:
    async with listening(by_target({"/robots.txt": broken, "/a": answer(b"a")})) as wire:
        guest = visitor()
        for _ in range(3):
            with pytest.raises(FetchFailed) as later:
                await guest.fetch(wire.address("/a"))
            assert later.value.retryable

    assert wire.targets == ["/robots.txt"]  # and is not asked again for each page


async def test_rules_are_those_of_one_port_only() -> None:
    async with (
        listening(by_target({"/robots.txt": robots("User-agent: *\nDisallow: /")})) as strict,
        listening(by_target({"/robots.txt": NOTHING, "/": answer(b"open")})) as lax,
    ):
        guest = visitor()
        with pytest.raises(FetchFailed, match=r"robots\.txt"):
            await guest.fetch(strict.address("/"))
        found = await guest.fetch(lax.address("/"))

    assert isinstance(found, Fetched)


async def test_a_private_address_is_refused_as_such_whatever_its_robots_txt_would_say() -> None:
    network = RecordingNetwork()
    with pytest.raises(FetchFailed, match="private network"):
        await visitor(network=network).fetch(WebAddress.parse("http://10.0.0.1/"))
    assert network.connected == []


async def test_a_host_gets_one_request_at_a_time_and_other_hosts_do_not_wait() -> None:
    busy: dict[str, int] = {}
    most: dict[str, int] = {}
    both = asyncio.Event()

    async def talk(request: Request, writer: asyncio.StreamWriter) -> None:
        host = request.headers["host"]
        busy[host] = busy.get(host, 0) + 1
        most[host] = max(most.get(host, 0), busy[host])
        if len([name for name, number in busy.items() if number]) == 2:
            both.set()
        if request.target != "/robots.txt":
            async with asyncio.timeout(30):
                await both.wait()
        busy[host] -= 1
        writer.write(answer(b"x"))

    async with listening(talk) as wire:
        guest = visitor(resolve=names(other_example=PUBLIC))
        addresses = [
            wire.address(f"/{number}", host) for number in range(5) for host in ("site.example", "other.example")
        ]
        await asyncio.gather(*(guest.fetch(address) for address in addresses))

    assert set(most.values()) == {1}
    assert len(wire.requests) == 2 + 10


@pytest.mark.parametrize(
    ("rules", "pause_s", "at_least_s"), [("", 0.1, 0.1), ("User-agent: *\nCrawl-delay: 0.2", 0, 0.2)]
)
async def test_between_two_requests_there_is_a_pause(rules: str, pause_s: float, at_least_s: float) -> None:
    moments: list[float] = []

    async def talk(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/robots.txt":
            writer.write(robots(rules))
        else:
            moments.append(asyncio.get_running_loop().time())
            writer.write(answer(b"x"))

    async with listening(talk) as wire:
        guest = Visitor(fetcher(), pause_s=pause_s)
        await asyncio.gather(*(guest.fetch(wire.address(f"/{number}")) for number in range(3)))

    assert all(later - earlier >= at_least_s for earlier, later in pairwise(moments))


async def test_waiting_for_a_turn_is_not_held_against_a_page() -> None:
    async with listening(by_target({"/robots.txt": robots("User-agent: *\nCrawl-delay: 0.3")}, answer(b"x"))) as wire:
        guest = visitor(limits=quick(total_s=0.5))
        found = await asyncio.gather(*(guest.fetch(wire.address(f"/{number}")) for number in range(4)))

    assert all(isinstance(page, Fetched) for page in found)


async def test_a_guest_who_is_called_away_while_he_waits_leaves_the_turn_to_the_next() -> None:
    async with listening(saying(answer(b"x"))) as wire:
        guest = Visitor(fetcher(), pause_s=0.2)
        tasks = [asyncio.create_task(guest.fetch(wire.address(f"/{number}"))) for number in range(4)]
        while "/0" not in wire.targets:
            await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(found[0], Fetched)
    assert isinstance(found[3], Fetched)
    assert wire.targets == ["/robots.txt", "/0", "/3"]


async def test_what_is_known_of_places_does_not_grow_for_ever() -> None:
    guest = visitor(network=RecordingNetwork())
    for number in range(1100):
        with pytest.raises(FetchFailed):
            await guest.fetch(WebAddress.parse(f"http://h{number}.example/"))

    assert len(guest._hosts) <= 1000
    assert len(guest._origins) <= 1000


async def test_validators_go_along() -> None:
    site = {"/robots.txt": NOTHING, "/a": b"HTTP/1.1 304 Not Modified\r\n\r\n"}
    async with listening(by_target(site)) as wire:
        found = await visitor().fetch(wire.address("/a"), Validators(str(wire.address("/a")), '"1"'))

        assert found == Unchanged(wire.address("/a"))
        assert wire.requests[-1].headers["if-none-match"] == '"1"'
        assert "if-none-match" not in wire.requests[0].headers
