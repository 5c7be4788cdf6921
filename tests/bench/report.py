"""Tables as text for a terminal and as Markdown for the documentation; the whole run as JSON."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.bench.outcome import Outcome, Table


def as_text(table: Table) -> str:
    """First column to the left, the others aligned to their widest cell."""
    widths = [max(len(row[column]) for row in (table.header, *table.rows)) for column in range(len(table.header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table.rows
    ]
    header = "  ".join(cell.ljust(width) for cell, width in zip(table.header, widths, strict=True)).rstrip()
    return "\n".join([table.title, header, "-" * len(header), *lines, *table.notes, ""])


def as_markdown(table: Table) -> str:
    rows = ["| " + " | ".join(row) + " |" for row in table.rows]
    notes = [f"\n{note}" for note in table.notes]
    return "\n".join(
        [
            f"## {table.title}\n",
            "| " + " | ".join(table.header) + " |",
            "|---" * len(table.header) + "|",
            *rows,
            *notes,
            "",
        ]
    )


def machine() -> dict[str, str]:
    """What the figures depend on. Its load average tells whether the machine was quiet."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average at the start": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def document(facts: Mapping[str, str], versions: Mapping[str, str], tables: Iterable[Table]) -> str:
    """The page of results, whole."""
    about = [f"- {name}: {value}" for name, value in {**facts, **versions}.items()]
    opening = [
        "# Benchmark results",
        "",
        "Written by `python -m tests.bench --docs`; how to read it: [benchmarks](../benchmarks.md).",
        "",
    ]
    return "\n".join([*opening, *about, "", *(as_markdown(table) for table in tables)])


def as_json(
    facts: Mapping[str, str],
    versions: Mapping[str, str],
    outcomes: Iterable[Outcome],
    figures: Mapping[str, Sequence[float]],
) -> dict[str, object]:
    raw = {outcome.case: outcome.raw for outcome in outcomes}
    return {
        "schema": 1,
        "machine": dict(facts),
        "versions": dict(versions),
        "figures": {key: list(values) for key, values in figures.items()},
        "cases": raw,
    }
