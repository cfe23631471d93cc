"""What schemathesis cannot know of our scalars. It runs in an environment of its own: nothing of ours is here."""

import schemathesis
from graphql import parse_value
from hypothesis import strategies as st
from hypothesis_graphql import nodes

SCHEMAS = (
    '{type: "object", properties: {}}',
    '{type: "object", properties: {order: {type: "string"}}, required: ["order"]}',
    '{type: "object", properties: {order: {type: ["string"], items: 7}}, required: {}}',
    '{type: "object", properties: [1], ref: "#"}',
    '[{type: "object"}]',
    "null",
)

schemathesis.graphql.scalar("DateTime", st.datetimes().map(lambda moment: nodes.String(moment.isoformat() + "Z")))
schemathesis.graphql.scalar("Upload", st.text().map(nodes.String))
schemathesis.graphql.scalar("JSONSchema", st.sampled_from(SCHEMAS).map(parse_value) | st.text().map(nodes.String))
