"""Nobody gets us to fetch from where the public cannot: whatever the address looks like, and whatever its name says."""

import asyncio
import re
import socket
from ipaddress import ip_address, ip_network

import pytest

from kyrochat.errors import FetchFailed
from kyrochat.outbound.address import WebAddress
from kyrochat.outbound.deny_table import AddressRules
from kyrochat.outbound.fetching import Fetched
from kyrochat.outbound.network import system_addresses
from tests.outbound.wire import (
    PUBLIC,
    RULES,
    Names,
    RecordingNetwork,
    answer,
    fetcher,
    listening,
    names,
    quick,
    saying,
)

LOCAL = "127.0.0.1"
METADATA = "169.254.169.254"
SOMEWHERE = "93.184.215.14"  # public, and never connected to: the network of these tests only notes

HOSTILE = [
    # This machine, in all spellings.
    "http://127.0.0.1/", "http://127.0.0.1:80/", "http://127.127.127.127/", "http://127.1/", "http://127.0.1/",
    "http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0x7f.0x0.0x0.0x1/",
    "http://0177.0.0.01/", "http://127.0.0.1./", "http://0/", "http://0.0.0.0/", "http://localhost/",
    "http://LOCALHOST./", "http://localhost.localdomain/", "http://①②⑦.⓪.⓪.①/", "http://１２７.０.０.１/",
    "http://127。0。0。1/", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/",
    # IPv4 inside IPv6.
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[0:0:0:0:0:ffff:7f00:0001]/",
    "http://[::ffff:a9fe:a9fe]/", "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", "http://[64:ff9b::169.254.169.254]/", "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/", "http://[2002:a9fe:a9fe::1]/", "http://[2001:0:7f00:1::]/",
    # Private and special networks.
    "http://10.0.0.1/", "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://100.64.0.1/",
    "http://192.0.0.8/", "http://192.0.0.170/", "http://198.18.0.1/", "http://203.0.113.5/", "http://224.0.0.1/",
    "http://240.0.0.1/", "http://255.255.255.255/", "http://[fc00::1]/", "http://[fd00:ec2::254]/",
    "http://[fe80::1]/", "http://[fec0::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/", "http://[3fff::1]/",
    "http://[5f00::1]/", "http://[100::1]/",
    # Where clouds keep their keys.
    "http://169.254.169.254/latest/meta-data/", "http://169.254.170.2/", "http://100.100.100.200/",
    "http://168.63.129.16/", "http://metadata.google.internal/", "http://instance-data/",
    # Names that lead there.
    "http://to-local.example/", "http://to-mapped.example/", "http://to-nat64.example/", "http://to-metadata.example/",
    # Tricks with the syntax.
    "http://public.example@127.0.0.1/", "http://127.0.0.1@public.example/", "http://127.0.0.1#@public.example/",
    "http://127.0.0.1\\@public.example/", "http://127.0.0.1%2f@public.example/", "http://127.0.0.1%00.public.example/",
    "http://127.0.0.1\t.public.example/", "http://[::1%25lo]/", "http:\\\\127.0.0.1/", "http:///127.0.0.1/",
    "http://%6c%6fcalhost/", "http://%31%32%37.0.0.1/", "http://127.0.0.1:80:80/", "http://public.example:80@127.0.0.1/",
    # Other ports and schemes.
    "http://public.example:22/", "http://public.example:6379/", "https://public.example:5432/",
    "http://public.example:8080/", "file:///etc/passwd", "gopher://public.example:70/_x", "ftp://public.example/",
    "dict://public.example:2628/", "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "ldap://public.example/", "jar:http://public.example/!/", "data:text/html,x", "javascript:alert(1)",
]  # fmt: skip

TO_TRAPS = Names(
    {
        "localhost": [[LOCAL, "::1"]],
        "localhost.localdomain": [[LOCAL]],
        "metadata.google.internal": [[METADATA]],
        "instance-data": [[METADATA]],
        "to-local.example": [[LOCAL]],
        "to-mapped.example": [["::ffff:127.0.0.1"]],
        "to-nat64.example": [["64:ff9b::a9fe:a9fe"]],
        "to-metadata.example": [[METADATA]],
        "public.example": [[SOMEWHERE]],
    }
)


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_address_is_refused_before_anything_is_connected(url: str) -> None:
    network = RecordingNetwork()

    with pytest.raises(FetchFailed) as refused:
        await fetcher(TO_TRAPS, AddressRules(), network=network).fetch(WebAddress.parse(url))

    assert network.connected == []
    assert not refused.value.retryable
    assert refused.value.message.endswith(".")
    assert not re.search(r"127\.|169\.254|::", refused.value.message)  # what a name leads to is not told


@pytest.mark.parametrize(
    ("url", "connected"),
    [
        ("http://93.184.215.14/", (SOMEWHERE, 80)),
        ("https://public.example/", (SOMEWHERE, 443)),
        ("http://public.example:443/", (SOMEWHERE, 443)),
        ("http://[::ffff:93.184.215.14]/", (SOMEWHERE, 80)),
        ("http://[2606:4700:4700::1111]/", ("2606:4700:4700::1111", 80)),
        ("http://9.9.9.9/", ("9.9.9.9", 80)),
        ("http://172.32.0.1/", ("172.32.0.1", 80)),
        ("http://192.0.1.1/", ("192.0.1.1", 80)),
    ],
)
async def test_public_addresses_are_connected_to(url: str, connected: tuple[str, int]) -> None:
    network = RecordingNetwork()

    with pytest.raises(FetchFailed, match="cannot be reached"):
        await fetcher(TO_TRAPS, AddressRules(), network=network).fetch(WebAddress.parse(url))

    assert network.connected == [connected]


CORPUS = [
    f"http://{left}{between}{right}{end}"
    for left in ("a.example", "a.example:80", "127.0.0.1", "[::1]", "")
    for between in ("@", "\\@", "#@", "?@", "/@", "%40", ";", "\\", "/\\", "#", "?", ":80#@", "&@", "%23@", ",")
    for right in ("b.example", "b.example:80", "127.0.0.1")
    for end in ("", "/", "/x", "#@c.example")
]


async def test_what_is_checked_is_what_is_connected_to_and_what_the_server_is_told() -> None:
    admitted = 0
    for url in CORPUS:
        try:
            address = WebAddress.parse(url)
        except FetchFailed:
            continue
        admitted += 1
        resolver, network = names(a_example=PUBLIC, b_example=PUBLIC, c_example=PUBLIC), RecordingNetwork(PUBLIC)
        async with listening(saying(answer(b"x"))) as wire:
            network.port = wire.port
            if address.host in ("127.0.0.1", "::1"):
                with pytest.raises(FetchFailed, match="private network"):
                    await fetcher(resolver, network=network).fetch(address)
                assert network.connected == []
                continue
            await fetcher(resolver, network=network).fetch(address)

        assert resolver.asked == [address.host]
        assert network.connected == [(PUBLIC, 80)]
        assert [request.headers["host"] for request in wire.requests] == [address.host]
        # And it is the one that anybody would read in it.
        assert url.startswith(f"http://{address.host}")

    assert admitted > 100


async def test_a_name_is_resolved_once_so_it_cannot_change_its_mind() -> None:
    rebinding = Names({"site.example": [[PUBLIC], [LOCAL], [METADATA]]})

    async with listening(saying(answer(b"public"))) as wire:
        page = await fetcher(rebinding).fetch(wire.address())
        with pytest.raises(FetchFailed, match="private network"):
            await fetcher(rebinding).fetch(wire.address())

    assert isinstance(page, Fetched)
    assert page.body == b"public"
    assert rebinding.asked == ["site.example", "site.example"]
    assert wire.connections == 1


@pytest.mark.parametrize(
    "addresses", [[PUBLIC, LOCAL], [LOCAL, PUBLIC], [PUBLIC, "::ffff:10.0.0.1"], [PUBLIC, PUBLIC, "fe80::1"], ["junk"]]
)
async def test_one_private_address_among_public_ones_is_enough_to_refuse(addresses: list[str]) -> None:
    async with listening(saying(answer(b"x"))) as wire:
        with pytest.raises(FetchFailed):
            await fetcher(Names({"site.example": [addresses]})).fetch(wire.address())

    assert wire.connections == 0


async def test_names_that_do_not_exist_are_told_from_resolvers_that_are_away() -> None:
    async def away(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def empty(host: str, port: int) -> list[str]:
        return []

    address = WebAddress.parse("http://nowhere.example/")
    with pytest.raises(FetchFailed, match="no host of this name") as unknown:
        await fetcher().fetch(address)
    with pytest.raises(FetchFailed, match="no host of this name"):
        await fetcher(resolve=empty).fetch(address)
    with pytest.raises(FetchFailed, match="at the moment") as later:
        await fetcher(resolve=away).fetch(address)

    assert (unknown.value.retryable, later.value.retryable) == (False, True)


async def test_the_machines_own_resolver_finds_this_machine_and_the_rules_refuse_it() -> None:
    async with listening(saying(answer(b"secret")), host=LOCAL) as wire:
        with pytest.raises(FetchFailed, match="private network"):
            await fetcher(resolve=system_addresses).fetch(wire.address(host="localhost"))
        allowed = AddressRules((ip_network("127.0.0.0/8"), ip_network("::1/128")))
        page = await fetcher(resolve=system_addresses, rules=allowed).fetch(wire.address(host="localhost"))

    assert isinstance(page, Fetched)
    assert page.body == b"secret"
    assert wire.connections == 1


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    rules = AddressRules((ip_network("127.0.0.0/8"), ip_network("::1/128")))
    two = Names({"site.example": [["::1", "127.0.0.3", PUBLIC]]})

    async with listening(saying(answer(b"x"))) as wire:
        network = RecordingNetwork(PUBLIC, port=wire.port)
        page = await fetcher(two, rules).fetch(wire.address())
        await fetcher(two, rules, network=network).fetch(wire.address())

    assert isinstance(page, Fetched)
    assert network.connected == [("127.0.0.3", wire.port)]  # IPv4 before IPv6, each in the resolver's order


async def test_a_public_address_of_this_very_machine_is_not_connected_to() -> None:
    public = Names({"site.example": [[SOMEWHERE]]})
    address = WebAddress.parse("http://site.example/")

    async with (
        listening(saying(answer(b"trusts who is inside")), host=LOCAL) as inside,
        listening(saying(answer(b"anybody's"))) as outside,
    ):
        to_itself = RecordingNetwork(LOCAL, port=inside.port)
        with pytest.raises(FetchFailed, match="this machine"):
            await fetcher(public, AddressRules(), network=to_itself).fetch(address)
        to_another = RecordingNetwork(PUBLIC, port=outside.port)
        page = await fetcher(public, AddressRules(), network=to_another).fetch(address)

    assert isinstance(page, Fetched)
    assert (page.body, inside.requests) == (b"anybody's", [])


async def test_a_machine_that_swallows_connections_costs_no_more_than_the_time_to_connect() -> None:
    with socket.socket() as full:
        full.bind((PUBLIC, 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex((PUBLIC, port))
        began = asyncio.get_running_loop().time()
        with pytest.raises(FetchFailed, match="cannot be reached") as refused:
            await fetcher(limits=quick(connect_s=0.3, total_s=20)).fetch(WebAddress("http", "site.example", port, "/"))
        took_s = asyncio.get_running_loop().time() - began
        for one in waiting:
            one.close()

    assert refused.value.retryable
    assert took_s < 5


def test_networks_of_one_family_say_nothing_of_the_other() -> None:
    rules = AddressRules((ip_network("0.0.0.0/0"),))

    assert rules.admits(ip_address("10.0.0.1"), 6000)
    assert rules.admits(ip_address("::ffff:10.0.0.1"), 6000)
    assert not rules.admits(ip_address("fd00::1"), 80)
    assert not RULES.admits(ip_address("fe80::1%lo"), 80)
    assert not AddressRules((ip_network("10.0.0.0/8"),)).admits(ip_address("11.0.0.1"), 8080)
