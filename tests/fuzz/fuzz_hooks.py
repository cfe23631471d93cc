"""What schemathesis cannot know of our scalars. It runs in an environment of its own: nothing of ours is here."""

import schemathesis
from hypothesis import strategies as st
from hypothesis_graphql import nodes

schemathesis.graphql.scalar("DateTime", st.datetimes().map(lambda moment: nodes.String(moment.isoformat() + "Z")))
schemathesis.graphql.scalar("Upload", st.text().map(nodes.String))
