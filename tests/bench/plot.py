"""One picture of the run: CPU per request and latency of every system. Needs the extra ``bench``."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from statistics import median
from typing import Any


def can_plot() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def draw(rps: dict[str, dict[str, Any]], target: Path) -> None:
    """``rps``: the raw numbers of case ``rps``. The format follows the file's suffix."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    plain = rps["plain"]
    names = sorted(plain, key=lambda name: median(plain[name]["cpu_us"]), reverse=True)
    figure, (cpu, tail) = pyplot.subplots(1, 2, figsize=(11, 0.5 * len(names) + 1.6), sharey=True)
    colours = ["#c2410c" if name.startswith("lb") else "#64748b" for name in names]
    costs = [median(plain[name]["cpu_us"]) for name in names]
    cpu.bar_label(cpu.barh(names, costs, color=colours), fmt="%.0f", padding=3)
    cpu.set_title("CPU µs per request (less is better)")
    slow = [median(one["p99"] for one in plain[name]["rounds"]) / 1000 for name in names]
    tail.bar_label(tail.barh(names, slow, color=colours), fmt="%.1f", padding=3)
    tail.set_title("p99 ms, 64 connections, saturated")
    for axes in (cpu, tail):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(target)
    pyplot.close(figure)
