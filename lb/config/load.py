"""From a file to the model: read, validate, check what belongs together, build.

Reads files and the environment, writes nothing, opens no socket: whether an address is free is for
``lb run`` to find out. Needs pydantic, so it runs in the CLI and in a publishing process, never in
a worker, the supervisor or the controller.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lb.config.advice import advise
from lb.config.build import Machine, build
from lb.config.consistency import inconsistencies
from lb.config.files import absent_files
from lb.config.places import default_state_dir
from lb.config.problems import Finding, LocatedConfigError, Path, Problem
from lb.config.reach import is_about_conditions
from lb.config.schema import Schema
from lb.config.source import Document, read_document
from lb.config.validate import Validated, validate
from lb.model import Config


@dataclass(frozen=True, slots=True)
class Report:
    """All that can be said about a file. ``config`` is None when there are problems."""

    config: Config | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def load(path: str, environ: Mapping[str, str], *, state_dir: str | None = None) -> Config:
    """The configuration in ``path``, or ConfigError with every mistake in it.

    ``state_dir`` takes the place of the file's ``state.dir``.
    """
    report = examine(path, environ, state_dir=state_dir)
    if report.config is None:
        raise LocatedConfigError(report.problems)
    return report.config


def examine(path: str, environ: Mapping[str, str], *, state_dir: str | None = None) -> Report:
    """As ``load``, with warnings, and with the problems returned rather than raised."""
    try:
        document = read_document(path, environ)
    except LocatedConfigError as error:
        return Report(None, error.located)
    return _judge(document, environ, state_dir)


def _judge(document: Document, environ: Mapping[str, str], state_dir: str | None) -> Report:
    validated = validate(document.data, Schema)
    findings = document.findings + [item for item in validated.findings if not document.is_unknown(item.path)]
    machine = _machine(document.file, environ, state_dir)
    if validated.schema is not None:
        findings += _further(validated, document, machine.folder, findings)
    if findings or validated.schema is None:
        return Report(None, _located(document, findings))
    warnings = [*advise(validated.schema), *absent_files(validated.schema, machine.folder)]
    return Report(build(validated.schema, machine), (), _located(document, warnings))


def _further(validated: Validated[Schema], document: Document, folder: str, known: list[Finding]) -> list[Finding]:
    """What does not fit together, but for what follows from a mistake that is known already."""
    assert validated.schema is not None

    def line_of(path: Path) -> int:
        return document.locate(validated.original(path)).line

    def is_unclear(route: Path) -> bool:
        return mistaken.leaves_open(validated.original(route))

    mistaken = _Mistaken([finding.path for finding in known])
    new = []
    for finding in inconsistencies(validated.schema, folder, line_of, is_unclear):
        path = validated.original(finding.path)
        if document.is_unknown(path) or any(mistaken.touches(validated.original(on)) for on in finding.depends_on):
            continue
        new.append(replace(finding, path=path))
        mistaken.add(path)
    return new


def state_dir_problem(path: str, environ: Mapping[str, str], message: str) -> Problem:
    """A mistake about ``state.dir`` where it stands in the file; without a line when it is not in it."""
    document = read_document(path, environ)
    key: Path = ("state", "dir")
    return document.problem(Finding(key, message)) if key in document.values else Problem(path, 0, 0, message)


class _Mistaken:
    """Paths that are mistaken. Quick with ten thousand of them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """``paths``: of what could not be read as it is written."""
        self._paths: set[Path] = set()
        self._around: set[Path] = set()
        self._unclear = {path[:2] for path in paths if is_about_conditions(path)}
        for path in paths:
            self.add(path)

    def add(self, path: Path) -> None:
        """One more, of what was read. What is said of a route as a whole is no mistake in what it matches."""
        self._paths.add(path)
        if len(path) > 2 and is_about_conditions(path):
            self._unclear.add(path[:2])
        self._around.update(path[:end] for end in range(len(path) + 1))

    def leaves_open(self, route: Path) -> bool:
        """Whether one of them is in the conditions of the route at ``route``."""
        return route in self._unclear or route[:1] in self._unclear

    def touches(self, path: Path) -> bool:
        """Whether one of them is ``path``, in it, or around it."""
        return path in self._around or any(path[:end] in self._paths for end in range(len(path)))


def _located(document: Document, findings: Iterable[Finding]) -> tuple[Problem, ...]:
    problems = {document.problem(finding) for finding in findings}
    return tuple(sorted(problems, key=lambda problem: (problem.line, problem.column, problem.message)))


def _machine(file: str, environ: Mapping[str, str], state_dir: str | None) -> Machine:
    return Machine(
        source=os.path.abspath(file),
        cores=len(os.sched_getaffinity(0)),
        default_state_dir=default_state_dir(environ),
        state_dir=os.path.abspath(state_dir) if state_dir else None,
        host=socket.gethostname(),
    )
