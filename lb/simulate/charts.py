"""The charts of the documents, out of their figures: ``python -m lb.simulate.charts docs/charts`` draws them again (seconds).

Needs matplotlib (the extra ``charts``). The same figures give the same bytes with the same matplotlib. White behind
them, so that they can be read on a dark page too; text is text, which keeps a file below 60 KB.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lb.model import ContractOptions
from lb.policies.contract_hash import contract_place, contract_ring
from lb.simulate.figures import Figures
from lb.simulate.key_moves import MODULO
from lb.simulate.numbers import milliseconds, percent

LATENCIES = ("p50", "p99", "p99.9")
PUBLISHED = {
    "antagonists-apart": {"round_robin": 258.0, "power_of_two": 130.0, "prequal (probe.max_rate 5000/s)": 93.0},
}
"""99th percentiles in ms of small testbeds that were set up like the one of Prequal's paper (NSDI 2024)."""
CONTRACT, SERVERS = "contract-hash", 3

_INK, _GREY, _PALE = "#1b1f24", "#6b7280", "#d1d5db"
_RAMP = {"p50": "#9ecae1", "p99": "#3182bd", "p99.9": "#08306b"}
_HUES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7")
"""M. Okabe, K. Ito, "Color Universal Design", 2008: told apart by nearly all eyes."""
_TICKS = tuple(step * 10**power for power in range(6) for step in (1, 2, 5))


def draw_all(figures: Figures, folder: Path) -> None:
    """One file for each scenario, one for what the contract's hash does, one for keys that move."""
    for name, scenario in figures["scenarios"].items():
        if name != CONTRACT:
            _latencies(name, scenario, folder / f"{name}.svg")
    _contract(figures["scenarios"][CONTRACT], folder / f"{CONTRACT}.svg")
    _keys_moved(figures["keys_moved"], folder / "keys-moved.svg")


@contextmanager
def _picture(file: Path, *sizes: float, **grid: Any) -> Iterator[Any]:
    """``sizes``: width and height in inches. Yields the axes."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    style = {
        "svg.hashsalt": "lb", "svg.fonttype": "none", "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9, "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK,
        "axes.edgecolor": _PALE, "axes.spines.top": False, "axes.spines.right": False,
    }  # fmt: skip
    with matplotlib.rc_context(style):
        figure, axes = pyplot.subplots(figsize=sizes, layout="constrained", **grid)
        yield axes
        figure.savefig(file, metadata={"Date": None, "Creator": None}, facecolor="white")
        pyplot.close(figure)


def _latencies(name: str, scenario: Figures, file: Path) -> None:
    policies = list(scenario["policies"].items())
    with _picture(file, 8, 1.3 + 0.36 * len(policies)) as axes:
        for row, (_, seen) in enumerate(policies):
            axes.plot([seen[one] for one in (LATENCIES[0], LATENCIES[-1])], [row, row], color=_PALE, zorder=1)
            axes.annotate(
                milliseconds(seen["p99"]),
                (seen["p99"], row),
                (0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        for one, hue in _RAMP.items():
            values = [seen[one] for _, seen in policies]
            axes.scatter(values, range(len(policies)), color=hue, s=36, label=f"{one}", zorder=2)
        published = PUBLISHED.get(name, {})
        if published:
            rows = [row for row, (policy, _) in enumerate(policies) if policy in published]
            axes.scatter(
                [published[policies[row][0]] for row in rows], rows, s=40, marker="D", facecolors="none",
                edgecolors=_HUES[3], label="p99, published", zorder=3,
            )  # fmt: skip
        _time_axis(axes, [seen[one] for _, seen in policies for one in LATENCIES] + list(published.values()))
        axes.set_yticks(range(len(policies)), [_named(policy, seen["errors"]) for policy, seen in policies])
        axes.set_ylim(len(policies) - 0.5, -0.7)
        axes.set_title(_wrapped(f"{name}: {scenario['about']}"), fontsize=9, loc="left")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)


def _time_axis(axes: Any, values: list[float]) -> None:
    low, high = min(values) / 1.25, max(values) * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    if high / low > 100:
        ticks = [tick for tick in ticks if str(tick)[0] == "1"]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color=_PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.set_xlabel("latency, ms (logarithmic)", color=_GREY)


def _named(policy: str, errors: float) -> str:
    name = policy.replace(" (", "\n(")
    return f"{name}\n{percent(errors)} errors" if errors else name


def _wrapped(text: str, width: int = 84) -> str:
    cut = text.rfind(" ", 0, width)
    return text if len(text) <= width else f"{text[:cut]}\n{text[cut + 1 :]}"


# --- the contract's hash


def _contract(scenario: Figures, file: Path) -> None:
    policies = scenario["policies"]
    with _picture(file, 8, 4.6, nrows=2, height_ratios=(5, 2)) as (shares, slots):
        _shares(shares, {policy: seen["shares"] for policy, seen in policies.items()})
        _slots(slots)
        title = f"Shares of servers 1, 2 and 3, from the left; {scenario['requests']:,} keys, the same for all"
        shares.set_title(title, fontsize=9, loc="left")


def _shares(axes: Any, policies: dict[str, list[float]]) -> None:
    for row, shares in enumerate(policies.values()):
        start = 0.0
        for server, share in enumerate(shares):
            part = 100 * share / len(shares)
            axes.barh(row, part, left=start, color=_HUES[server], edgecolor="white", height=0.7)
            axes.text(start + part / 2, row, f"{part:.1f}", ha="center", va="center", color=_on(server), fontsize=8)
            start += part
    for third in (100 / 3, 200 / 3):
        axes.axvline(third, color=_INK, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(policies)), [policy.replace(" (", "\n(") for policy in policies])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the keys; dotted: fair", color=_GREY)
    axes.tick_params(length=0)


def _on(server: int) -> str:
    return _INK if server == 1 else "white"


def _slots(axes: Any) -> None:
    """Why: where virtual servers stand, and the few slots that keys can hit."""
    options = ContractOptions()
    ring, place = contract_ring(options, SERVERS), contract_place(options)
    hit = sorted({place(b"%d" % i) for i in range(options.slots)})
    for server in range(SERVERS):
        points = [point for point, owner in zip(ring.points, ring.owners, strict=True) if owner == server]
        axes.vlines(points, 1.1, 1.9, color=_HUES[server], linewidth=2)
    axes.vlines(hit, 0.1, 0.9, color=_GREY, linewidth=1)
    axes.set_yticks([1.5, 0.5], [f"Φ: {len(ring.points)} virtual servers", f"H: the {len(hit)} slots\nthat keys hit"])
    axes.set_xlim(0, options.slots)
    axes.set_xlabel(
        f"the {options.slots} slots; a key goes to the next virtual server on its right, behind the last to the first",
        color=_GREY,
    )
    axes.tick_params(length=0)


# --- keys that move


def _keys_moved(moved: dict[str, dict[str, float]], file: Path) -> None:
    sizes = sorted({int(size) for by_size in moved.values() for size in by_size})
    with _picture(file, 8, 4.4) as axes:
        axes.plot(sizes, [100 / size for size in sizes], color=_INK, linestyle=":", label="1/N: only its own")
        for number, (table, by_size) in enumerate(moved.items()):
            is_ours = table != MODULO
            axes.plot(
                [int(size) for size in by_size], [100 * share for share in by_size.values()], marker="o", markersize=4,
                color=_HUES[number % len(_HUES)] if is_ours else _GREY,
                label=table if is_ours else "hash modulo N (not in lb)",
            )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xticks([], minor=True)
        ticks = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
        axes.set_yticks(ticks, [f"{tick:g} %" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.grid(color=_PALE, linewidth=0.5)
        axes.tick_params(length=0)
        axes.set_xlabel("N: backends before one of them is removed", color=_GREY)
        axes.set_title("Keys that go to another backend when one of N is removed", fontsize=9, loc="left")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)


if __name__ == "__main__":
    _folder = Path(sys.argv[1])
    draw_all(json.loads((_folder / "figures.json").read_text(encoding="utf-8")), _folder)
