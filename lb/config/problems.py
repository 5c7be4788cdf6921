"""Mistakes in a configuration and where they stand. Data only; who finds them is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from lb.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document to a value."""


class Problem(NamedTuple):
    """One line for a person. ``line`` and ``column`` count from 1; 0: the file as a whole."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake by path, before it is given a line.

    ``depends_on``: the values the judgement rests on. If one of them is itself mistaken the finding
    is dropped, so that one slip is not reported as three.
    """

    path: Path
    message: str
    at_key: bool = False
    depends_on: tuple[Path, ...] = ()


class LocatedConfigError(ConfigError):
    """ConfigError that still knows file, line and column of each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.located = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__([str(problem) for problem in self.located])
