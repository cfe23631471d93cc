import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema, parse, print_ast, validate

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build_schema((REPOSITORY / "schema.graphql").read_text(encoding="utf-8"))


def _examples() -> list[str]:
    text = (REPOSITORY / "web" / "graphiql" / "src" / "examples.ts").read_text(encoding="utf-8")
    return re.findall(r"^const [A-Z_]+ = `(.*?)`;$", text, re.DOTALL | re.MULTILINE)


def test_every_example_tab_is_valid_for_the_schema(schema: GraphQLSchema) -> None:
    examples = _examples()

    assert len(examples) == 10
    assert {print_ast(parse(e)): problems for e in examples if (problems := validate(schema, parse(e)))} == {}


def test_the_page_refreshes_its_session_with_a_valid_mutation(schema: GraphQLSchema) -> None:
    text = (REPOSITORY / "web" / "graphiql" / "src" / "http.ts").read_text(encoding="utf-8")
    (refresh,) = re.findall(r"REFRESH = `(.*?)`;", text, re.DOTALL)

    assert validate(schema, parse(refresh)) == []
    assert validate(schema, parse("mutation { logout }")) == []
