"""A comparison as a picture: latency by percentile, and requests by backend. Needs matplotlib (the extra ``charts``).

The same comparison gives the same SVG, byte for byte.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from math import log10
from typing import Any

from lb.simulate.compare import Comparison
from lb.simulate.result import CURVE

SUFFIXES = (".svg", ".png")
_DRAWN = tuple(percent for percent in CURVE if 50.0 <= percent < 100.0)
"""The 100th is infinitely far to the right."""
_TICKS = (50.0, 90.0, 99.0, 99.9, 99.99)


def problem_with(file: str) -> str:
    """Why ``file`` cannot be drawn; empty if it can."""
    if not file.lower().endswith(SUFFIXES):
        return f"`{file}` must end in .svg or .png"
    if importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed: pip install matplotlib"
    folder = os.path.dirname(file) or "."
    if not os.access(folder, os.W_OK):
        return f"`{folder}` is no directory that can be written"
    return ""


def draw(comparison: Comparison, file: str) -> None:
    """``file`` has no ``problem_with`` it."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "lb"
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, (tail, shares) = pyplot.subplots(1, 2, figsize=(12, 5), width_ratios=(3, 2))
    _draw_tail(tail, comparison)
    _draw_shares(shares, comparison)
    figure.suptitle(f"{comparison.scenario.name}: {comparison.scenario.about}", fontsize=10)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.lower().endswith(".svg") else None)
    pyplot.close(figure)


def _draw_tail(axes: Any, comparison: Comparison) -> None:
    for result in comparison.results:
        points = [(_nines(percent), ms) for percent, ms in result.curve_ms.items() if percent in _DRAWN]
        axes.plot([x for x, _ in points], [y for _, y in points], label=result.policy)
    axes.set_yscale("log")
    axes.set_xticks([_nines(percent) for percent in _TICKS], [f"{percent:g}" for percent in _TICKS])
    axes.set(xlabel="percentile", ylabel="latency, ms")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _nines(percent: float) -> float:
    """1 for 90 %, 2 for 99 %: as far apart as they are rare."""
    return 2.0 - log10(100.0 - percent)


def _draw_shares(axes: Any, comparison: Comparison) -> None:
    """Backends from the one with most requests to the one with fewest, for each policy."""
    for result in comparison.results:
        ordered = sorted((one.share for one in result.backends), reverse=True)
        marker = "o" if len(ordered) <= 20 else ""
        axes.plot(range(1, len(ordered) + 1), ordered, marker=marker, label=result.policy)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="backend, by its requests", ylabel="requests, fair share = 1")
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
