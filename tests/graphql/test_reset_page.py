"""The page of the server on which a new password is set: served with care, and in step with the schema."""

import re

import pytest
from graphql import parse, validate

from kyrochat.graphql.pages import RESET_DIR
from tests.graphql.operations import SCHEMA
from tests.graphql_client import GraphQLClient
from tests.server_process import Server

SCRIPT = (RESET_DIR / "page.js").read_text("utf-8")
PAGE = (RESET_DIR / "index.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/reset-password", "text/html"),
        ("/reset-password/page.js", "text/javascript"),
        ("/reset-password/page.css", "text/css"),
    ],
)
async def test_the_page_is_kept_from_caches_frames_and_other_hosts(
    server: Server, visitor: GraphQLClient, path: str, media_type: str
) -> None:
    response = await visitor.http.get(server.url + path)

    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, media_type)
    headers = {name: response.headers[name] for name in ("cache-control", "referrer-policy", "x-content-type-options")}
    assert headers == {
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    policy = dict(rule.strip().split(" ", 1) for rule in response.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert "http" not in response.headers["content-security-policy"]


async def test_nothing_else_is_served_below_it(server: Server, visitor: GraphQLClient) -> None:
    for path in ("/reset-password/", "/reset-password/index.html", "/reset-password/..%2f..%2fpages.py"):
        assert (await visitor.http.get(server.url + path)).status_code in (307, 404)
    assert (await visitor.http.post(server.url + "/reset-password")).status_code == 405


def test_what_the_page_sends_is_valid_for_the_schema() -> None:
    (mutation,) = re.findall(r"MUTATION = `(.*?)`;", SCRIPT, re.DOTALL)
    assert validate(SCHEMA, parse(mutation)) == []


def test_the_page_has_what_its_script_looks_for_and_nothing_inline() -> None:
    (names,) = re.findall(r"= \[(.*?)\]\.map", SCRIPT, re.DOTALL)
    assert {name.strip(' "') for name in names.split(",")} <= set(re.findall(r'id="(\w+)"', PAGE))
    assert not re.findall(r"<script(?![^>]*src=)|<style| style=| on\w+=", PAGE)
    assert "://" not in PAGE
