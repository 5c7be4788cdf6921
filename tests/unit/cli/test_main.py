"""The command line: what a user types and sees."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from lb.cli.main import COMMANDS, main
from tests.unit.config.test_velocity import THEIRS
from tests.unit.config.writing import SMALLEST, written


def lb(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_check_of_a_good_file(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "workers: 2\n")
    done = lb("check", str(path))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{path}: ok (3 listeners, 1 pool, 1 backend, 1 route, 2 workers)\n"


def test_check_of_a_bad_file(tmp_path: Path) -> None:
    path = written(tmp_path, "pools: {web: {policy: roundrobin, backends: [h]}}\n")
    done = lb("check", str(path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{path}:1:23: unknown policy `roundrobin`, did you mean `round_robin`?",
        f"{path}:1:46: expected a URL such as http://10.0.0.1:8080, got `h`; did you mean `http://h`?",
        "2 mistakes",
    ]


def test_check_warns_about_an_open_admin_listener(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST + "listeners: {admin: {bind: '0.0.0.0:5050'}}\n")
    done = lb("check", str(path))
    assert done.exit_code == 0
    assert done.stderr.startswith(f"{path}:2:27: warning: the admin listener is bound off loopback")


def test_check_for_programs(tmp_path: Path) -> None:
    path = written(tmp_path, "workers: x\n" + SMALLEST)
    done = lb("check", "--json", str(path))
    message = "expected a whole number, got `x`"
    assert done.exit_code == 2
    assert json.loads(done.stdout) == {
        "ok": False,
        "problems": [{"file": str(path), "line": 1, "column": 10, "message": message}],
        "warnings": [],
    }
    good = lb("check", "--json", str(written(tmp_path, SMALLEST)))
    assert (good.exit_code, json.loads(good.stdout)) == (0, {"ok": True, "problems": [], "warnings": []})


def test_check_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = lb("check", str(tmp_path / "none"))
    assert (done.exit_code, done.stderr) == (
        2,
        f"{tmp_path}/none: cannot be read: No such file or directory\n1 mistake\n",
    )


def test_check_of_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In our words, whatever click would say: it asks by the real user id, and reading is done by another."""
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    directory = lb("check", str(tmp_path))
    assert (directory.exit_code, directory.stderr) == (2, f"{tmp_path}: cannot be read: Is a directory\n1 mistake\n")
    unreadable = lb("check", "/proc/self/mem")
    assert unreadable.exit_code == 2
    assert unreadable.stderr == "/proc/self/mem: cannot be read: Input/output error\n1 mistake\n"


def test_schema() -> None:
    done = lb("schema")
    assert json.loads(done.stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_import_of_velocity(tmp_path: Path) -> None:
    theirs = tmp_path / "config.yml"
    theirs.write_text(THEIRS + "extra: 1\n")
    done = lb("import", "velocity", str(theirs))
    assert done.exit_code == 0
    assert done.stderr == f"{theirs}:18:1: not translated: `extra` has no counterpart\n"
    ours = written(tmp_path, done.stdout)
    assert lb("check", str(ours)).exit_code == 0


def test_import_of_something_else(tmp_path: Path) -> None:
    done = lb("import", "velocity", str(written(tmp_path, SMALLEST)))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.endswith("no service was translated: is it a config.yml of Velocity?\n")


def test_version_and_help() -> None:
    assert lb("--version").stdout.startswith("lb, version ")
    for name, entry in COMMANDS.items():
        assert f"{name} " in lb("--help").stdout and entry.summary in lb("--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there(name: str) -> None:
    module, _, attribute = COMMANDS[name].target.partition(":")
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)


def test_run_does_not_import_what_validates() -> None:
    program = "import sys, lb.cli.main, lb.cli.run; print('pydantic' in sys.modules, 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout == "False False\n", done.stderr
