"""The site's pages: all that the schema, the settings and the commands say is there, and links between pages hold."""

import re
from pathlib import Path

import pytest
from click import Context, Group
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType

from docs import site
from docs.reference import reference_pages
from kyrochat.__main__ import main
from kyrochat.graphql.schema import build_schema
from kyrochat.settings import Settings
from tests.test_docs import ROOT, broken_links


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages()


def test_every_type_field_argument_and_value_is_in_the_reference(pages: dict[str, str]) -> None:
    whole = "\n".join(pages.values())
    missing = []
    for name, each in build_schema()._schema.type_map.items():
        if name.startswith("__"):
            continue
        is_root = name in ("Query", "Mutation", "Subscription")
        if isinstance(each, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field in each.fields:
                shown = f"\n## {field}\n" if is_root else f"| `{field}` |"
                missing += [] if shown in whole else [f"{name}.{field}"]
        if isinstance(each, GraphQLEnumType):
            missing += [f"{name}.{value}" for value in each.values if f"| `{value}` |" not in whole]
        if not is_root and name not in ("String", "Int", "Float", "Boolean", "ID") and f"\n## {name}\n" not in whole:
            missing.append(name)

    assert missing == []
    assert "None" not in re.findall(r"\| (\w+) \|$", whole, re.M)


def test_every_problem_is_explained() -> None:
    explained = (ROOT / "docs" / "errors.md").read_text("utf-8")
    schema = build_schema()._schema
    problem = schema.type_map["Problem"]
    assert isinstance(problem, GraphQLInterfaceType)

    missing = [
        each.name for each in schema.get_implementations(problem).objects if f"| `{each.name}` |" not in explained
    ]

    assert missing == []


def test_the_readme_names_every_code_of_an_error() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.M)
    readme = (ROOT / "README.md").read_text("utf-8")

    assert len(table) == 14
    assert [code for code in table if f"`{code}`" not in readme] == []


def test_every_setting_and_command_is_in_the_reference(pages: dict[str, str]) -> None:
    def commands(group: Group, name: str) -> list[str]:
        found = []
        for each in group.list_commands(Context(group)):
            command = group.get_command(Context(group), each)
            found.append(f"{name} {each}")
            found += commands(command, f"{name} {each}") if isinstance(command, Group) else []
        return found

    settings = [f"KYROCHAT_{name.upper()}" for name in Settings.model_fields]

    assert [name for name in settings if f"| `{name}` |" not in pages["settings"]] == []
    assert [name for name in commands(main, "kyrochat") if f"\n## {name}\n" not in pages["commands"]] == []


def test_every_page_of_the_site_leads_to_pages_of_the_site(tmp_path: Path) -> None:
    directory = tmp_path / "docs"
    site.write(directory)

    found = sorted(directory.rglob("*.md"))
    assert {page.relative_to(directory).as_posix(): broken_links(page, directory) for page in found} == {
        page.relative_to(directory).as_posix(): [] for page in found
    }
    named = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M)
    assert [name for name in named if not (directory / name).is_file()] == []
    written = {page.relative_to(directory).as_posix() for page in found}
    assert [name for name in sorted(written - set(named)) if not name.startswith("decisions/")] == []


def test_every_code_of_an_error_is_explained() -> None:
    sources = (ROOT / "src" / "kyrochat" / "graphql").rglob("*.py")
    text = "\n".join(path.read_text("utf-8") for path in sources)
    used = set(re.findall(r'"code": "([A-Z_]+)"', text)) | set(
        re.findall(r'(?:RequestRefused|BodyRefused)\(\s*\d+,\s*"([A-Z_]+)"', text)
    )
    explained = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.M))

    assert len(used) >= 8
    assert used - explained == set()
