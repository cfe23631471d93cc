"""Whose address counts, behind proxies that are trusted and beside clients that write headers of their own."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kyrochat.graphql.transport.client_address import UNKNOWN, client_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        # Nobody trusted in front of us: what the header says is the client's own invention.
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("2001:db8::1", ["10.0.0.1"], "2001:db8::1"),
        # One proxy: the last entry is its own.
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["127.0.0.1, 10.9.9.9, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        # Two proxies; and a header for each of them is the same as one with a comma.
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        # IPv6 as a whole, with a port, in brackets, quoted, with a zone, and IPv4 inside it.
        ("fd00::1", ["2001:db8:0:1::2"], "2001:db8:0:1::2"),
        ("10.0.0.1", ["[2001:DB8::0002]:443"], "2001:db8::2"),
        ("10.0.0.1", ['"[2001:db8::2]"'], "2001:db8::2"),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        # An entry that is no address: who stands right of it is the last one that is known.
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, garbage, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1,"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4.5", "999.1.1.1"], "10.0.0.1"),
        # A peer that has none.
        (None, ["198.51.100.1"], UNKNOWN),
        ("", [], UNKNOWN),
        ("testclient", ["198.51.100.1"], UNKNOWN),
    ],
)
def test_the_header_is_read_from_the_right_as_far_as_its_writers_are_trusted(
    peer: str | None, forwarded_for: list[str], expected: str
) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == expected


def test_without_trusted_proxies_no_header_counts() -> None:
    assert client_address("10.0.0.1", ["198.51.100.1"], []) == "10.0.0.1"


def test_a_header_of_a_hundred_thousand_entries_is_read_from_its_end() -> None:
    assert client_address("10.0.0.1", ["6.6.6.6," * 100_000 + "198.51.100.1"], PROXIES) == "198.51.100.1"
    # All trusted: somewhere the reading ends, and with a whole address.
    assert client_address("10.0.0.1", ["10.0.0.123," * 100_000 + "10.0.0.124"], PROXIES) == "10.0.0.123"


@given(st.ip_addresses().map(str), st.lists(st.text() | st.ip_addresses().map(str)))
def test_who_is_not_trusted_cannot_change_its_address_by_any_header(peer: str, forwarded_for: list[str]) -> None:
    alone = client_address(peer, [], [])
    assert client_address(peer, forwarded_for, PROXIES[:0]) == alone


@given(st.lists(st.text(alphabet="0123456789abcdef:., []%\"'x\u0660")), st.ip_addresses())
def test_what_a_client_writes_in_front_of_its_address_changes_nothing(forged: list[str], client: object) -> None:
    alone = client_address("10.0.0.1", [str(client)], PROXIES)
    forged_too = client_address("10.0.0.1", [*forged, str(client)], PROXIES)

    if not any(ip_address(str(alone)) in network for network in PROXIES):
        assert forged_too == alone
    assert ip_address(forged_too)
