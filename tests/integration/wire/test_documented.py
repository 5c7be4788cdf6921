"""docs/reliability.md names tests and cases: each of them exists, and each row's test is named there."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from tests.corpus.cases import request_cases, response_cases

PROJECT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
ROWS = {*range(1, 56), *range(57, 65), *range(66, 77)}


def table() -> dict[int, list[str]]:
    """Row number to the names in its last column."""
    text = (PROJECT / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", text, re.MULTILINE)
    return {int(number): re.findall(r"`([^`]+)`", names) for number, names in rows}


def functions(path: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))


def test_every_row_has_a_test() -> None:
    assert table().keys() >= ROWS
    assert all(table().values())


def test_every_name_exists() -> None:
    ours = set().union(*map(functions, HERE.glob("test_*.py")))
    cases = {"requests": [case.id for case in request_cases()], "responses": [case.id for case in response_cases()]}
    for name in {name for names in table().values() for name in names}:
        kind, _, rest = name.partition(":")
        if kind in cases:
            assert fnmatch.filter(cases[kind], rest), name
        elif "::" in name:
            path, _, function = name.partition("::")
            assert function in functions(PROJECT / path), name
        else:
            assert name in ours, name


def test_every_test_of_a_row_is_in_the_table() -> None:
    documented = table()
    for path in HERE.glob("test_*.py"):
        for name in functions(path):
            if found := re.match(r"test_row_(\d+)", name):
                assert name in documented[int(found[1])], name
