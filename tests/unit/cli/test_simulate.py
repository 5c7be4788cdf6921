"""`lb simulate` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lb.cli.main import main

SMALL = """about: A small one.
arrivals: {rate: 100/s}
requests: 300
policies: [round_robin, random]
backends: {equal: {count: 3, slots: 2, service: {exponential: 10ms}}}
"""


def lb(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *arguments])


@pytest.fixture
def small(tmp_path: Path) -> str:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return str(file)


def test_the_list() -> None:
    for done in (lb("--list"), lb()):
        assert done.exit_code == 0
        assert "one-slow         One of four backends is ten times slower" in done.stdout


def test_a_table(small: str) -> None:
    done = lb(small)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].rstrip() == "small: A small one."
    assert lines[1].rstrip() == "300 requests, 3 backends, seed 1"
    assert lines[3].split() == ["policy", "p50", "p90", "p99", "p99.9", "errors", "retries", "most", "least", "busy"]
    assert [line.split()[0] for line in lines[5:7]] == ["round_robin", "random"]
    assert lines[5].split()[-5:-1] == ["0", "0", "1.00", "1.00"]


def test_json(small: str) -> None:
    done = lb(small, "contract-hash", "--json", "--requests", "200", "--seed", "5", "--policy", "random")
    first, second = json.loads(done.stdout)["scenarios"]
    assert (first["scenario"], second["scenario"], first["seed"]) == ("small", "contract-hash", 5)
    (random,) = second["policies"]
    assert (random["policy"], random["requests"], random["answers"], random["errors"]) == ("random", 200, 200, {})
    assert list(random["backends"]) == ["server-1", "server-2", "server-3"]
    assert set(random["percentiles_ms"]) > {"50", "90", "99", "99.9"}


def test_a_chart(small: str, tmp_path: Path) -> None:
    done = lb(small, "--chart", str(tmp_path / "chart.svg"))
    assert done.exit_code == 0
    assert "</svg>" in (tmp_path / "chart.svg").read_text()
    assert lb(small, "--chart", "chart.pdf").stderr.endswith("--chart: `chart.pdf` must end in .svg or .png\n")
    assert lb(small, small, "--chart", "chart.svg").stderr.endswith("--chart draws one scenario\n")


def test_mistakes_of_all_files(small: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(SMALL.replace("100/s", "100").replace("random", "best_of_all"))
    done = lb(small, str(bad), str(tmp_path / "none.yaml"))
    assert (done.exit_code, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == f"{bad}:2:18: a rate needs its unit: 100/s"
    assert lines[1].startswith(f"{bad}:4:25: unknown policy `best_of_all`: expected one of round_robin, ")
    assert lines[2] == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"


def test_names_that_are_none(small: str) -> None:
    done = lb("one-slo")
    assert done.exit_code == 2
    assert done.stderr.endswith("no file and no scenario `one-slo`, did you mean `one-slow`?\n")
    done = lb(small, "--policy", "roundrobin")
    assert done.exit_code == 2
    assert "unknown policy `roundrobin`, did you mean `round_robin`?" in done.stderr
