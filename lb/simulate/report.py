"""The table of simulated figures in docs/policies.md: ``python -m lb.simulate.report docs/policies.md`` (minutes).

The scenarios and their policies are those that come with lb; the same sources give the same figures on every machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from lb.simulate import shipped
from lb.simulate.compare import compare
from lb.simulate.load import load
from lb.simulate.result import Result

BEGIN, END = "<!-- begin: python -m lb.simulate.report -->", "<!-- end -->"
SCENARIOS = ("homogeneous", "one-slow", "antagonists", "antagonists-apart", "many-balancers")

Figures = Mapping[str, Mapping[str, Result]]
"""By scenario, by policy."""


def figures(names: Iterable[str] = SCENARIOS, requests: int | None = None) -> Figures:
    """``requests``: fewer than the scenarios ask for."""
    found = {}
    for name in names:
        path = shipped.path_of(name)
        assert path is not None, name
        scenario = load(path, {})
        results = compare(replace(scenario, requests=requests or scenario.requests)).results
        found[name] = {result.policy: result for result in results}
    return found


def table(seen: Figures) -> str:
    """99th percentiles in ms, and of the first scenario the least share of a backend."""
    policies = list(dict.fromkeys(policy for results in seen.values() for policy in results))
    first = next(iter(seen))
    lines = [
        "| | " + " | ".join(f"`{name}` p99" for name in seen) + f" | `{first}`, least share |",
        "|---" * (len(seen) + 2) + "|",
    ]
    for policy in policies:
        cells = [_p99(results.get(policy)) for results in seen.values()]
        equals = seen[first].get(policy)
        cells.append(f"{equals.least_share:.2f}" if equals is not None else "")
        lines.append(f"| `{policy}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _p99(result: Result | None) -> str:
    if result is None:
        return ""
    milliseconds = result.percentile_ms(99.0)
    assert milliseconds is not None
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.1f}"


def with_table(text: str, made: str) -> str:
    """``text`` with the table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main(path: str) -> None:
    file, made = Path(path), table(figures())
    file.write_text(with_table(file.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
