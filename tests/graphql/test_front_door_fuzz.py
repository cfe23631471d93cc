import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from kyrochat.graphql.transport.negotiation import negotiate
from kyrochat.graphql.transport.operation import Operation, operation_from, parse_json
from kyrochat.graphql.transport.refusals import IllFormed, RequestRefused, UnusableText, encode_json
from kyrochat.graphql.transport.socket_messages import ProtocolViolation, parse_message

# Lone surrogates too, which st.text() leaves out.
TEXTS = st.text(st.characters(codec=None))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
PARAMETERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("query", "variables", "operationName", "extensions"), JSON_VALUES),
)


@given(st.binary())
def test_any_bytes_are_json_or_ill_formed(body: bytes) -> None:
    with suppress(IllFormed):
        assert json.loads(encode_json(parse_json(body))) == json.loads(body)


@given(JSON_VALUES)
def test_json_comes_back_as_it_was_and_can_always_be_sent(value: object) -> None:
    text = encode_json(value)

    assert json.loads(text) == value
    assert "\n" not in text
    assert text.encode().decode() == text


@given(JSON_VALUES | PARAMETERS)
def test_parameters_are_an_operation_that_can_be_stored_or_are_refused(parameters: object) -> None:
    try:
        operation = operation_from(parameters)
    except (IllFormed, UnusableText):
        return
    assert isinstance(parameters, dict)
    assert operation == Operation(
        parameters["query"],
        parameters.get("variables"),
        parameters.get("operationName"),
        parameters.get("extensions"),
    )
    json.dumps(parameters, ensure_ascii=False).encode()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["connection_init", "subscribe", "complete", "ping", "pong"]) | JSON_VALUES,
            "id": JSON_VALUES,
            "payload": PARAMETERS | JSON_VALUES,
        },
    )
)
def test_any_message_is_of_the_protocol_or_a_violation_of_it(message: dict[str, object]) -> None:
    with suppress(ProtocolViolation):
        parse_message(json.dumps(message))


@given(st.text() | st.lists(st.sampled_from([*"*/;,= q=0.5", "application/json", "text/event-stream"])).map("".join))
def test_any_accept_header_is_understood_or_refused(accept: str) -> None:
    try:
        accepted = negotiate(accept)
    except RequestRefused:
        return
    assert accepted.json_media_type is not None or accepted.takes_events
