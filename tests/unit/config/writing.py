"""Configuration files in a test's own directory."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from lb.config.load import Report, examine, load
from lb.model import Config

SMALLEST = "pools: {web: {backends: [http://127.0.0.1:5001]}}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "lb.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    return load(str(written(folder, text)), environ or {})


def examined(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Report:
    return examine(str(written(folder, text)), environ or {})


def mistakes(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Each as ``LINE:COLUMN: message``."""
    report = examined(folder, text, environ)
    return [f"{problem.line}:{problem.column}: {problem.message}" for problem in report.problems]
