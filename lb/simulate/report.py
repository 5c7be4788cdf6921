"""Figures, tables and charts of the documents: ``python -m lb.simulate.report docs`` measures, writes and draws them all (minutes);
with ``--changed`` only scenarios whose short runs no longer come out as they did.

Tables stand in the documents between ``<!-- figures: SCENARIO COLUMN ... -->`` and ``<!-- end -->``, one policy a line; with several
scenarios before the columns, one scenario a column; ``chart SCENARIO`` is a picture with its figures in words. The figures themselves are kept in ``charts/figures.json``, charts beside it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lb.simulate import charts
from lb.simulate.figures import Figures, measured
from lb.simulate.numbers import milliseconds, percent

DOCUMENTS = ("policies.md", "simulate.md")
FIGURES = Path("charts") / "figures.json"
_BLOCK = re.compile(r"(<!-- figures: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADS = {
    "errors": "errors",
    "most": "most",
    "least": "least",
    "shares": "share of each backend, %",
    "region": "in the client's region",
    "zone": "in the balancer's zone",
    "session": "in session, by its backend",
}


def with_tables(text: str, figures: Figures) -> str:
    """``text`` with every table in it as ``figures`` say."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_shown(block[2].split(), figures)}\n{block[3]}", text)


def _shown(words: list[str], figures: Figures) -> str:
    if words[0] != "chart":
        return table(words, figures)
    (name,) = words[1:]
    return f"![{alternative(name, figures)}](charts/{name}.svg)"


def alternative(name: str, figures: Figures) -> str:
    """What a scenario's chart says, for those who do not see it."""
    scenario = figures["scenarios"][name]
    column = "shares" if name == charts.CONTRACT else "p99"
    said = [f"{policy} {_cell(seen, column)}" for policy, seen in scenario["policies"].items()]
    what = "Shares of the servers in %" if column == "shares" else "99th percentiles in ms"
    return f"{scenario['about']} {what}: {', '.join(said)}."


def table(words: list[str], figures: Figures) -> str:
    """``words``: scenarios, and columns of theirs. KeyError: there is no such figure."""
    scenarios = figures["scenarios"]
    names = [word for word in words if word in scenarios]
    columns = [word for word in words if word not in scenarios]
    if len(names) == 1:
        pairs = [(names[0], column) for column in columns]
        heads = [_HEADS.get(column, column) for column in columns]
    else:
        pairs = [(name, column) for column in columns for name in names]
        heads = [f"`{name}` {_HEADS.get(column, column)}" for name, column in pairs]
    policies = dict.fromkeys(policy for name in names for policy in scenarios[name]["policies"])
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for policy in policies:
        cells = [_cell(scenarios[name]["policies"].get(policy), column) for name, column in pairs]
        lines.append(f"| `{policy}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(policy: Mapping[str, Any] | None, column: str) -> str:
    """Empty: the scenario does not try the policy."""
    if policy is None:
        return ""
    value = policy[column]
    if column == "shares":
        return " / ".join(f"{100 * share / len(value):.1f}" for share in value)
    if column in ("most", "least"):
        return f"{value:.2f}"
    return milliseconds(value) if column.startswith("p") else percent(value)


def write(folder: Path, figures: Figures) -> None:
    """Into a folder with the documents."""
    (folder / FIGURES).parent.mkdir(exist_ok=True)
    (folder / FIGURES).write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name in DOCUMENTS:
        document = folder / name
        document.write_text(with_tables(document.read_text(encoding="utf-8"), figures), encoding="utf-8")
    charts.draw_all(figures, (folder / FIGURES).parent)


def main(folder: Path, *, only_changed: bool) -> None:
    known = json.loads((folder / FIGURES).read_text(encoding="utf-8")) if only_changed else None
    write(folder, measured(known, lambda what: print(what, flush=True)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), only_changed="--changed" in sys.argv[2:])
