"""Python that mypyc compiles to something else: none of it is in a module of the data path."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.native.finder import COMPILED, PACKAGE

HARMLESS = frozenset(("len", "min", "max", "index", "find"))
"""Calls that may be made twice."""


def calls_in_slice_bounds(tree: ast.AST) -> Iterator[str]:
    """A call in a slice's bound is made twice where the sliced type is not one that mypyc knows (memoryview)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Slice):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and _name(call.func) not in HARMLESS:
                    yield f"line {call.lineno}: {ast.unparse(node)}"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def shared_exception_names(tree: ast.AST) -> Iterator[str]:
    """One name has one type in a function: a second ``except`` with another type fails with a TypeError."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            kinds: dict[str, str] = {}
            for handler in ast.walk(function):
                if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type is not None:
                    kind = ast.unparse(handler.type)
                    if kinds.setdefault(handler.name, kind) != kind:
                        yield f"line {handler.lineno}: {handler.name} is {kinds[handler.name]} and {kind}"


@pytest.mark.parametrize("name", COMPILED)
def test_none_is_in_what_is_compiled(name: str) -> None:
    source = Path(PACKAGE).parent.joinpath(*name.split(".")).with_suffix(".py").read_text()
    tree = ast.parse(source)
    assert [*calls_in_slice_bounds(tree), *shared_exception_names(tree)] == []


def test_they_would_be_found() -> None:
    bad = """
def f(rest, send):
    try:
        rest = rest[send(rest) : len(rest)]
    except ValueError as error:
        print(error)
    except OSError as error:
        print(error)
"""
    tree = ast.parse(bad)
    assert list(calls_in_slice_bounds(tree)) == ["line 4: send(rest):len(rest)"]
    assert list(shared_exception_names(tree)) == ["line 7: error is ValueError and OSError"]
