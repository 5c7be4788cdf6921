"""``python -m tests.bench``: every balancer that is installed, one machine, one run, ratios.

Never a pass or fail on time: the exit status is 0 when everything that was asked for was measured,
1 when a case could not be, 2 when it cannot start at all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import figures, origin, plot, ports, processes, report
from tests.bench.cases import idle, large, pick, rps, simulate, start, tail, turns, workers, wsgi
from tests.bench.outcome import Outcome
from tests.bench.plan import Cores, Plan
from tests.bench.systems import SYSTEMS
from tests.bench.systems.base import System

CASES: dict[str, Callable[[Plan], Outcome]] = {
    "rps": rps.run,
    "idle": idle.run,
    "start": start.run,
    "large": large.run,
    "workers": workers.run,
    "pick": pick.run,
    "turns": turns.run,
    "wsgi": wsgi.run,
    "simulate": simulate.run,
    "tail": tail.run,
}
_QUIET_LOAD = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    missing = [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]
    if missing or SYSTEMS["nginx"].program() is None:
        print("the bench needs wrk, taskset and nginx: apt-get install wrk util-linux nginx-light", file=sys.stderr)
        return 2
    processes.allow_many_files()
    _warn_when_busy()
    facts, chosen = report.machine(), _installed(options.only)
    with tempfile.TemporaryDirectory(prefix="lb-bench-") as name:
        outcomes = _measure(Path(name), chosen, options)
    _hand_out(facts, chosen, outcomes, options)
    return 0 if len(outcomes) == len(options.cases) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="lb beside other balancers, in one run")
    parser.add_argument("--quick", action="store_true", help="two rounds of one second: for a look, not for figures")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each measure (3)")
    parser.add_argument("--seconds", type=int, default=0, help="seconds of each measure (3)")
    parser.add_argument("--only", type=_names_of(SYSTEMS), default=list(SYSTEMS), help=", ".join(SYSTEMS))
    parser.add_argument("--cases", type=_names_of(CASES), default=list(CASES), help=f"{', '.join(CASES)} (all)")
    parser.add_argument("--json", type=Path, help="write everything measured there")
    parser.add_argument("--plot", type=Path, help="draw there (.svg, .png); needs matplotlib")
    parser.add_argument("--docs", type=Path, help="write results.md, results.json and results.svg into this directory")
    parser.add_argument("--name", default="results", help="what these are called instead (results)")
    return parser


def _names_of(
    known: dict[str, object] | dict[str, System] | dict[str, Callable[[Plan], Outcome]],
) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        return text.split(",")

    return names


def _installed(names: Sequence[str]) -> tuple[System, ...]:
    wanted = [system for name, system in SYSTEMS.items() if name in names]
    for system in wanted:
        if system.program() is None:
            print(f"left out: {system.name} is not installed (see docs/benchmarks.md)", file=sys.stderr)
    return tuple(system for system in wanted if system.program() is not None)


def _measure(directory: Path, systems: tuple[System, ...], options: argparse.Namespace) -> list[Outcome]:
    """What could be measured; a case that could not says why and does not stop the others."""
    cores = Cores.of_this_machine()
    backends = tuple(ports.free(2))
    seconds, rounds = options.seconds or (1 if options.quick else 3), options.rounds or (2 if options.quick else 3)
    plan = Plan(directory, backends, systems, cores, rounds, seconds, quick=options.quick)
    outcomes = []
    process = origin.start(directory, backends, cores.origin)
    try:
        for case in options.cases:
            print(f"case {case}", file=sys.stderr, flush=True)
            try:
                outcomes.append(CASES[case](plan))
            except (RuntimeError, OSError, subprocess.SubprocessError) as problem:
                print(f"case {case} could not be measured: {problem}", file=sys.stderr)
    finally:
        processes.stop(process)
    return outcomes


def _warn_when_busy() -> None:
    busy = os.getloadavg()[0]
    if busy > _QUIET_LOAD:
        print(f"this machine is busy (load average {busy:.1f}): do not publish these figures", file=sys.stderr)


def _hand_out(
    facts: dict[str, str], systems: tuple[System, ...], outcomes: list[Outcome], options: argparse.Namespace
) -> None:
    measured = {key: value for outcome in outcomes for key, value in outcome.figures.items()}
    tables = [figures.judge(measured), *(table for outcome in outcomes for table in outcome.tables)]
    for table in (*tables[1:], tables[0]):
        print(report.as_text(table))
    versions = {system.name: system.version(system.program() or "") for system in systems}
    data = report.as_json(facts, versions, outcomes, measured)
    docs: Path | None = options.docs
    if docs is not None:
        docs.mkdir(parents=True, exist_ok=True)
        (docs / f"{options.name}.md").write_text(report.document(facts, versions, tables))
    for target in filter(None, (options.json, docs and docs / f"{options.name}.json")):
        target.write_text(json.dumps(data, indent=1) + "\n")
    has_plot = any(outcome.case == "rps" for outcome in outcomes)
    for target in filter(None, (options.plot, docs and has_plot and docs / f"{options.name}.svg")):
        _plot(outcomes, target)


def _plot(outcomes: list[Outcome], target: Path) -> None:
    raw = next((outcome.raw for outcome in outcomes if outcome.case == "rps"), None)
    if not isinstance(raw, dict):
        print("no plot: it shows case rps", file=sys.stderr)
    elif not plot.can_plot():
        print("no plot: pip install matplotlib", file=sys.stderr)
    else:
        plot.draw(raw, target)


if __name__ == "__main__":
    sys.exit(main())
