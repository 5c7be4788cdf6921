"""A document against a schema: every mistake at once, in words, and what is left without them.

What is left is validated too, so that the checks across values (``lb.config.consistency``) run even
when single values are wrong. ``Validated.original`` turns a path in what is left into one of the file.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, TypeVar, Union

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from lb.config.absent import absence
from lb.config.checks import described, did_you_mean
from lb.config.problems import Finding, Path
from lb.config.section import Section

MAX_ROUNDS = 8
"""Each round cuts out what the one before found; nesting in the schema is shallower than this."""

_NAMED: dict[Path, tuple[str, str]] = {
    ("pools",): ("pool", "`{}: {{backends: [http://127.0.0.1:5001]}}`"),
    ("listeners",): ("listener", '`{}: {{bind: "0.0.0.0:5000"}}`'),
}
"""Mappings by name: what has the name, and how one is written."""
_EXPECTED = {"model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list"}


S = TypeVar("S", bound=Section)


@dataclass(slots=True)
class Validated(Generic[S]):
    """``schema`` None: nothing usable is left."""

    kind: type[S]
    schema: S | None = None
    findings: list[Finding] = field(default_factory=list)
    kept: dict[Path, list[int]] = field(default_factory=dict)
    """Of lists that lost items: the positions in the file of those that remain."""

    def original(self, path: Path) -> Path:
        found: Path = ()
        for part in path:
            found = (*found, self.kept[found][part] if isinstance(part, int) and found in self.kept else part)
        return found


def validate(data: Any, kind: type[S]) -> Validated[S]:
    """Judge ``data``, as ``lb.config.source`` read it, by ``kind``."""
    result = Validated(kind)
    for _ in range(MAX_ROUNDS):
        try:
            result.schema = kind.model_validate(data)
            return result
        except ValidationError as error:
            details = error.errors(include_url=False)
        _note(result, details)
        data = _cut(result, data, details)
        if data is None:
            break
    return result


def _note(result: Validated[Any], details: Iterable[ErrorDetails]) -> None:
    known = {finding.path for finding in result.findings}
    for detail in details:
        path = result.original(_path(detail))
        if path not in known:  # a required key that we cut out ourselves is missing now
            result.findings.append(_finding(result.kind, detail, path))


def _path(detail: ErrorDetails) -> Path:
    """Pydantic marks an error in a key as ``(..., key, "[key]")``."""
    path = detail["loc"]
    return path[:-1] if path and path[-1] == "[key]" else path


def _finding(schema: type[Section], detail: ErrorDetails, path: Path) -> Finding:
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return Finding(path, _unknown_key(schema, path), at_key=True)
    if kind == "missing":
        return Finding(path, f"`{path[-1]}` is missing", at_key=True)
    if kind in _EXPECTED and isinstance(value, str) and (reason := absence(value)):
        return Finding(path, f"`{value}` {reason}")
    if kind in _EXPECTED:
        return Finding(path, f"expected {_EXPECTED[kind]}, got {described(value)}{_hint(schema, path, value)}")
    reason = detail.get("ctx", {}).get("error", detail["msg"])
    return Finding(path, str(reason), at_key=detail["loc"][-1:] == ("[key]",))


def _hint(schema: type[Section], path: Path, value: Any) -> str:
    """What to write where a mapping by name was taken for a list, or for one of its items, and for certificates."""
    if path[:1] == ("listeners",) and path[2:3] == ("tls",):
        return "; certificates are files: write `{cert: FILE, key: FILE}`"
    if path[:1] not in _NAMED:
        return ""
    noun, example = _NAMED[path[:1]]
    if len(path) == 1:
        return f"; write {example.format('NAME')}"
    name = str(path[1])
    if len(path) == 2 and name in _keys_at(schema, path):
        return f"; `{name}` was read as the name of a {noun}: it belongs into one, `NAME: {{{name}: ...}}`"
    return f"; write {example.format(name)}" if len(path) == 2 and isinstance(value, (list, str)) else ""


def _unknown_key(schema: type[Section], path: Path) -> str:
    key = str(path[-1])
    if reason := absence(key, str(path[-2]) if len(path) > 1 else ""):
        return f"`{key}` {reason}"
    choices = _keys_at(schema, path[:-1])
    near = did_you_mean(key, choices)
    return f"unknown key `{key}`{near or ': expected one of ' + ', '.join(choices)}"


def _keys_at(schema: type[Section], path: Path) -> tuple[str, ...]:
    """The keys that ``schema`` knows in the section at ``path``."""
    kind: Any = schema
    for part in path:
        kind = _inner(_bare(kind), part)
    kind = _bare(kind)
    return tuple(_fields(kind)) if isinstance(kind, type) and issubclass(kind, BaseModel) else ()


def _fields(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    """By the name that a file uses."""
    return {field.alias or name: field for name, field in kind.model_fields.items()}


def _inner(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _fields(kind)[str(part)].annotation
    return typing.get_args(kind)[-1]


def _bare(kind: Any) -> Any:
    """A type without annotations and without ``| None``."""
    while typing.get_origin(kind) in (Annotated, Union, types.UnionType):
        kind = typing.get_args(kind)[0]
    return kind


def _cut(result: Validated[Any], data: Any, details: Iterable[ErrorDetails]) -> Any:
    """``data`` without the mistaken values; None if that is all of it."""
    paths = (_path(detail)[:-1] if detail["type"] == "missing" else _path(detail) for detail in details)
    return _without(data, (), (), {_existing(data, path) for path in paths}, result.kept)


def _existing(data: Any, path: Path) -> Path:
    """``path``, or the nearest value around it. A shorthand stands for a key that is not written, and
    an only item for a list that is not."""
    found: Path = ()
    for part in path:
        is_there = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if is_there:
            found, data = (*found, part), data[part]
        elif not isinstance(part, int):
            break
    return found


def _without(value: Any, path: Path, origin: Path, bad: set[Path], kept: dict[Path, list[int]]) -> Any:
    """A copy of ``value`` without what is at ``bad``. ``path`` is where it is in what is being cut,
    ``origin`` where it was in the file."""
    if path in bad:
        return None
    if isinstance(value, dict):
        names = [name for name in value if (*path, name) not in bad]
        return {name: _without(value[name], (*path, name), (*origin, name), bad, kept) for name in names}
    if not isinstance(value, list):
        return value
    positions = [i for i in range(len(value)) if (*path, i) not in bad]
    before = kept.get(origin) or range(len(value))
    if len(positions) < len(before) or origin in kept:
        kept[origin] = [before[i] for i in positions]
    return [_without(value[i], (*path, i), (*origin, before[i]), bad, kept) for i in positions]
