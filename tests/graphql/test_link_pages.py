"""The pages that links lead to, of a new password and an invitation: served with care, in step with the schema."""

import re

import pytest
from graphql import parse, validate

from kyrochat.graphql.link_pages import LINK_PAGES, page_documents
from tests.graphql.operations import SCHEMA
from tests.graphql_client import GraphQLClient
from tests.server_process import Server

FILES = (("", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css"))


@pytest.mark.parametrize(("path", "media_type"), [(page + name, kind) for page in LINK_PAGES for name, kind in FILES])
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
    for page in LINK_PAGES:
        for path in (f"{page}/", f"{page}/index.html", f"{page}/..%2f..%2fpages.py"):
            assert (await visitor.http.get(server.url + path)).status_code == 404
        assert (await visitor.http.post(server.url + page)).status_code == 405


def test_what_the_pages_send_is_valid_for_the_schema() -> None:
    scripts = [(directory / "page.js").read_text("utf-8") for directory in LINK_PAGES.values()]
    operations = page_documents()

    # None is written in another way, so that none is missed.
    assert len(operations) == sum(len(re.findall(r"[`'\"](?:query|mutation)\b", script)) for script in scripts) == 7
    for operation in operations:
        assert validate(SCHEMA, parse(operation)) == []


@pytest.mark.parametrize("page", LINK_PAGES)
def test_the_page_has_what_its_script_looks_for_and_nothing_inline(page: str) -> None:
    html, script = ((LINK_PAGES[page] / name).read_text("utf-8") for name in ("index.html", "page.js"))
    (names,) = re.findall(r"= \[(.*?)\]\.map", script, re.DOTALL)
    assert {name.strip(' "') for name in names.split(",")} <= set(re.findall(r'id="(\w+)"', html))
    assert not re.findall(r"<script(?![^>]*src=)|<style| style=| on\w+=", html)
    assert "://" not in html
