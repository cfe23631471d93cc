import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from tests.graphql.front_door_toy import Toy, codes, serving

UPLOAD = "mutation ($f: Upload!) { upload(file: $f) }"
MANY = "mutation ($f: [Upload!]!) { uploads(files: $f) }"
PREFLIGHT = {"GraphQL-Require-Preflight": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def toy() -> AsyncIterator[Toy]:
    async with serving(upload_max_bytes=1024 * 1024) as toy:
        yield toy


async def send(
    toy: Toy,
    operations: object,
    places: object,
    files: dict[str, bytes],
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    """Post a multipart request; `operations` and `places` are left out when None, and sent as they are when str."""
    fields = {"operations": operations, "map": places}
    data = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }
    parts = {name: (f"{name}.txt", content) for name, content in files.items()}
    async with httpx2.AsyncClient() as client:
        return await client.post(toy.url, data=data, files=parts, headers=PREFLIGHT if headers is None else headers)


def operations(query: str, variables: object) -> dict[str, Any]:
    return {"query": query, "variables": variables}


async def test_a_file_reaches_its_variable(toy: Toy) -> None:
    answer = await send(toy, operations(UPLOAD, {"f": None}), {"0": ["variables.f"]}, {"0": b"x" * 200_000})
    assert answer.json() == {"data": {"upload": "0.txt 200000 "}}


async def test_files_reach_the_items_of_a_list(toy: Toy) -> None:
    places = {"a": ["variables.f.1"], "b": ["variables.f.0"]}
    answer = await send(toy, operations(MANY, {"f": [None, None]}), places, {"a": b"1", "b": b"2"})
    assert answer.json() == {"data": {"uploads": ["b.txt", "a.txt"]}}


@pytest.mark.parametrize("name", ["GraphQL-Require-Preflight", "apollo-require-preflight", "X-Requested-With",
                                  "Authorization"])  # fmt: skip
async def test_any_header_that_forces_a_preflight_will_do(toy: Toy, name: str) -> None:
    answer = await send(toy, operations(UPLOAD, {"f": None}), {"0": ["variables.f"]}, {"0": b"x"}, {name: "x"})
    assert answer.json() == {"data": {"upload": "0.txt 1 "}}


async def test_without_such_a_header_nothing_runs_and_the_answer_says_what_to_add(toy: Toy) -> None:
    contexts = toy.bell.contexts
    answer = await send(toy, operations(UPLOAD, {"f": None}), {"0": ["variables.f"]}, {"0": b"x"}, {})

    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])
    assert "GraphQL-Require-Preflight" in answer.json()["errors"][0]["message"]
    assert toy.bell.contexts == contexts


GOOD = operations(UPLOAD, {"f": None})


@pytest.mark.parametrize(
    ("sent", "places"),
    [
        (None, {"0": ["variables.f"]}),
        (GOOD, None),
        ("{", {"0": ["variables.f"]}),
        ("null", {"0": ["variables.f"]}),
        ("[]", {"0": ["variables.f"]}),
        ([GOOD], {"0": ["0.variables.f"]}),
        ({"variables": {"f": None}}, {"0": ["variables.f"]}),
        (GOOD, "{"),
        (GOOD, "null"),
        (GOOD, []),
        (GOOD, {}),
        (GOOD, {"0": None}),
        (GOOD, {"0": []}),
        (GOOD, {"0": "variables.f"}),
        (GOOD, {"0": [1]}),
        (GOOD, {"0": [None]}),
        (GOOD, {"0": [{}]}),
        (GOOD, {"1": ["variables.f"]}),
        (GOOD, {"0": ["variables.f"], "1": ["variables.f"]}),
        (GOOD, {"0": ["variables"]}),
        (GOOD, {"0": ["variables."]}),
        (GOOD, {"0": ["variables.g"]}),
        (GOOD, {"0": ["variables.f.g"]}),
        (GOOD, {"0": ["query"]}),
        (GOOD, {"0": ["variables.f", "variables.f"]}),
        (operations(UPLOAD, {"f": "taken"}), {"0": ["variables.f"]}),
        (operations(UPLOAD, {"f": [None]}), {"0": ["variables.f.-1"]}),
        (operations(UPLOAD, {"f": [None]}), {"0": ["variables.f.1"]}),
        (operations(UPLOAD, {"f": [None]}), {"0": ["variables.f." + "9" * 5000]}),
        (operations(UPLOAD, {"f": [None]}), {"0": ["variables.f.x"]}),
        (operations(UPLOAD, None), {"0": ["variables.f"]}),
    ],
)
async def test_a_form_that_does_not_fit_together_is_a_400(toy: Toy, sent: object, places: object) -> None:
    answer = await send(toy, sent, places, {"0": b"x"})
    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=", b"--\r\n\r\n"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"garbage"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{'),
        ("multipart/form-data; boundary=" + "b" * 5000, b"x"),
    ],
)
async def test_a_broken_form_is_a_400(toy: Toy, content_type: str, body: bytes) -> None:
    answer = await toy.post(body, content_type=content_type, x_requested_with="test")
    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])


async def test_more_than_four_files_are_refused(toy: Toy) -> None:
    files = {str(n): b"x" for n in range(5)}
    places = {name: [f"variables.f.{name}"] for name in files}
    answer = await send(toy, operations(MANY, {"f": [None] * 5}), places, files)
    assert (answer.status_code, codes(answer.json())) == (400, ["BAD_USER_INPUT"])


async def test_a_file_of_exactly_the_limit_fits_and_a_larger_form_gets_413(toy: Toy) -> None:
    fits = await send(toy, GOOD, {"0": ["variables.f"]}, {"0": b"x" * 2**20})
    too_large = await send(toy, GOOD, {"0": ["variables.f"]}, {"0": b"x" * (2**20 + 256 * 1024)})

    assert fits.json() == {"data": {"upload": "0.txt 1048576 "}}
    assert (too_large.status_code, codes(too_large.json())) == (413, ["PAYLOAD_TOO_LARGE"])
    assert "1,048,576 bytes (1 MiB)" in too_large.json()["errors"][0]["message"]


@pytest.mark.parametrize("value", ["x", 1, {}, ["x"], True])
async def test_an_upload_that_is_no_file_is_bad_user_input(toy: Toy, value: object) -> None:
    assert codes(await toy.run(UPLOAD, f=value)) == ["BAD_USER_INPUT"]
    assert codes(await toy.run('mutation { upload(file: "x") }')) == ["GRAPHQL_VALIDATION_FAILED"]


async def test_an_upload_is_never_answered_as_a_stream(toy: Toy) -> None:
    headers = {**PREFLIGHT, "accept": "text/event-stream"}
    answer = await send(toy, GOOD, {"0": ["variables.f"]}, {"0": b"x"}, headers)
    assert answer.status_code == 406
