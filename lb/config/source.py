"""A YAML file as plain values, with the line and column of each.

Only data: tags are refused, nothing is constructed. Scalars follow YAML 1.2, so ``on`` and ``NO``
are text and not truth values. Anchors, aliases and merge keys work. Must not know what the
configuration means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from lb.config.expand import ExpansionError, expand
from lb.config.problems import Finding, LocatedConfigError, Path, Problem

MAX_BYTES = 32 << 20
MAX_DEPTH = 32
MAX_VALUES = 1_000_000
"""Counted after aliases are followed, so a short file cannot stand for an endless one."""

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # the C one where PyYAML was built with it
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?[0-9]{1,17}\.[0-9]{1,17}", re.ASCII)
_CONSTANTS = {
    text: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for text in (word, word.title(), word.upper())
} | {"": None, "~": None}


class Mark(NamedTuple):
    """Both count from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """``data`` is dicts, lists, text, numbers, flags and None."""

    file: str
    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unknown: set[Path] = field(default_factory=set)
    """Values whose variable is not set: they are there as they are written."""

    def is_unknown(self, path: Path) -> bool:
        """Whether what is at ``path`` is such a value, or comes out of one: nothing can be said against it."""
        return any(path[:end] in self.unknown for end in range(len(path) + 1))

    def locate(self, path: Path, *, at_key: bool = False) -> Mark:
        """Where ``path`` stands, or the nearest thing around it that is in the file."""
        written = self._written(path)
        return (self.keys.get(written) if at_key else None) or self.values.get(written) or Mark(1, 1)

    def _written(self, path: Path) -> Path:
        """``path`` as far as it is in the file; the 0 of a list that is written as its only item is not."""
        found: Path = ()
        for part in path:
            if (*found, part) in self.values:
                found = (*found, part)
            elif not isinstance(part, int):
                break
        return found

    def problem(self, finding: Finding) -> Problem:
        """``finding`` with its place; what a terminal would act on is escaped."""
        mark = self.locate(finding.path, at_key=finding.at_key)
        return Problem(self.file, mark.line, mark.column, printable(finding.message))


def printable(text: str) -> str:
    """One line that is safe to show, whatever a file made us quote."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def read_document(path: str, environ: Mapping[str, str], *, least: str = "pools") -> Document:
    """Parse ``path``. LocatedConfigError if it is not readable or not YAML; what is wrong with
    single values (duplicate keys, missing variables) is in ``findings``. ``least``: the key it cannot do without."""
    return parse_document(_text(path), path, environ, least=least)


def parse_document(text: str, file: str, environ: Mapping[str, str], *, least: str = "pools") -> Document:
    """As ``read_document``, of text that is at hand."""
    document = Document(file)
    root = _compose(text, file)
    if root is None:
        raise LocatedConfigError([Problem(file, 1, 1, f"the file is empty; the least it needs is `{least}:`")])
    try:
        document.data = _Builder(document, environ).value(root, ())
    except _TooMuch as error:
        raise LocatedConfigError([Problem(file, error.mark.line, error.mark.column, str(error))]) from error
    return document


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise LocatedConfigError([Problem(path, 0, 0, f"cannot be read: {reason}")]) from error
    if len(raw) > MAX_BYTES:
        raise LocatedConfigError([Problem(path, 0, 0, f"larger than {MAX_BYTES >> 20} MiB")])
    return text


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        _check_depth(text, file)
        root: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
        return root
    except yaml.YAMLError as error:
        raise LocatedConfigError([_syntax_problem(error, text, file)]) from error


def _check_depth(text: str, file: str) -> None:
    """Composing recurses in C, where too deep a document would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            mark = _mark(event)
            raise LocatedConfigError([Problem(file, mark.line, mark.column, f"nested deeper than {MAX_DEPTH} levels")])


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be parsed"
    at_end = mark is not None and mark.index >= len(text.rstrip())
    if at_end and (begun := _last_unclosed(text) or getattr(error, "context_mark", None)):
        mark, said = begun, "what begins here is not closed"
    elif mark and text[mark.index : mark.index + 1] == "\t":
        said = "a tab: YAML is indented with spaces"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(file, line, column, printable(f"not YAML: {said}"))


def _last_unclosed(text: str) -> Any:
    """The mark of the last bracket or brace that nothing closes, or nothing."""
    begun: list[Any] = []
    with suppress(yaml.YAMLError):
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, (yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken)):
                begun.append(token.start_mark)
            elif isinstance(token, (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)) and begun:
                begun.pop()
    return begun[-1] if begun else None


def _mark(node: Any) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


class _TooMuch(Exception):
    def __init__(self, message: str, mark: Mark) -> None:
        super().__init__(message)
        self.mark = mark


class _Builder:
    """Turns nodes into values, noting the mark of each path on the way."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._count = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        self._spend(node, len(path))
        self._document.values[path] = _mark(node)
        if node.tag not in _PLAIN_TAGS:
            self._find(path, f"tag `{node.tag}` is not used here: write the plain value")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        own: dict[str, Mark] = {}
        for key_node, value_node, is_merged in self._pairs(node, path, depth=0):
            key, mark = key_node.value, _mark(key_node)
            here = (*path, key)
            if key in own and not is_merged:
                self._document.keys[here] = mark
                self._find(here, f"duplicate key `{key}`, first on line {own[key].line}")
            if key in own:
                continue
            own[key] = self._document.keys[here] = mark
            result[key] = self.value(value_node, here)
        return result

    def _pairs(self, node: yaml.MappingNode, path: Path, *, depth: int) -> Iterator[tuple[Any, yaml.Node, bool]]:
        """Key, value, and whether they were merged in. Own pairs come first: what is written out wins."""
        merges: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.findings.append(Finding(path, "a key must be plain text"))
            elif key_node.value == "<<" and not key_node.style:
                merges += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                yield key_node, value_node, depth > 0
        for other in merges:
            self._spend(other, depth)
            if isinstance(other, yaml.MappingNode):
                yield from self._pairs(other, path, depth=depth + 1)
            else:
                self._document.findings.append(Finding(path, "`<<` merges mappings only"))

    def _spend(self, node: yaml.Node, depth: int) -> None:
        self._count += 1 if isinstance(node, yaml.ScalarNode) else 1 + len(node.value)
        if depth > MAX_DEPTH or self._count > MAX_VALUES:
            raise _TooMuch("aliases make this document too large or refer to themselves", _mark(node))

    def _scalar(self, node: Any, path: Path) -> Any:
        try:
            text = expand(node.value, self._environ)
        except ExpansionError as error:
            self._document.findings.append(Finding(path, str(error)))
            self._document.unknown.add(path)
            return node.value
        if node.style or text is not node.value:
            return text
        return _resolve(text)

    def _find(self, path: Path, message: str) -> None:
        self._document.findings.append(Finding(path, message, at_key=path in self._document.keys))


def _resolve(text: str) -> Any:
    """A plain scalar by the core schema of YAML 1.2, decimal numbers only."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
