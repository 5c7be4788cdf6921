"""The JSON Schema for editors, and the documentation made from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lb.config.reference import with_reference
from lb.config.schema import json_schema
from lb.config.source import parse_document
from tests.unit.config.test_files import write_pair
from tests.unit.config.test_load import LARGE
from tests.unit.config.test_mistakes import TABLE
from tests.unit.config.writing import SMALLEST, examined

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "configuration.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def data(text: str) -> Any:
    return parse_document(text, "lb.yaml", {}).data


@pytest.fixture(scope="module")
def editor() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("text", [SMALLEST, LARGE, *EXAMPLES, (ROOT / "lb.yaml").read_text(encoding="utf-8")])
def test_an_editor_finds_nothing_in_a_good_file(editor: jsonschema.Draft202012Validator, text: str) -> None:
    """Variables are not expanded in an editor: they must fit as they are written."""
    as_written = data(text.replace("${", "$${"))
    assert [error.message for error in editor.iter_errors(as_written)] == []


@pytest.mark.parametrize(
    "text",
    [
        "pool: {}",
        "workers: many",
        "pools: {web: {backends: [{id: a}]}}",
        "pools: {web: {backends: [ftp://h]}}",
        "pools: {web: {policy: roundrobin}}",
        "pools: {web: {timeouts: {connect: 5}}}",
        "pools: {web: {retry: {on: [whatever]}}}",
        "listeners: {traffic: {http3: true}}",
        "routes: {}",
        "routes: [{scheme: ftp, pool: web}]",
        "state: {redis: 'http://h'}",
        "routes: [{redirect: {status: 301}}]",
    ],
)
def test_an_editor_marks_a_bad_file(editor: jsonschema.Draft202012Validator, text: str) -> None:
    assert list(editor.iter_errors(data(text)))


@pytest.mark.parametrize("text", [text for text, said in TABLE if "unknown key" in said])
def test_an_editor_marks_unknown_keys(editor: jsonschema.Draft202012Validator, text: str) -> None:
    assert list(editor.iter_errors(data(text)))


def test_every_key_is_described() -> None:
    schema = json_schema()
    for name, section in {"": schema, **schema["$defs"]}.items():
        for key, shape in section["properties"].items():
            assert shape.get("description", "").endswith("."), f"{name}.{key}"


def test_examples_in_the_documentation_are_valid(tmp_path: Path) -> None:
    assert len(EXAMPLES) == 5
    write_pair(tmp_path, "shop")
    for text in EXAMPLES:
        assert examined(tmp_path, text).problems == ()


def test_the_table_of_keys_is_up_to_date() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_reference(text) == text, "run python -m lb.config.reference docs/configuration.md"
