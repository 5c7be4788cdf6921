"""HUP and USR2 with code that cannot be loaded, as after a bad installation: nothing changes and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.chaos.process.load import load_on
from tests.chaos.process.running import Run
from tests.support.raw_client import get
from tests.support.waiting import wait_for


def test_code_that_cannot_be_loaded_is_refused_before_anything_changes(idle: Run, tmp_path: Path) -> None:
    """``broken`` is on the path of all our processes from the start, and empty at first."""
    run, broken = start_with_path(idle, tmp_path)
    with load_on(run.port) as tally:
        break_module(broken, "lb.supervisor.supervisor")
        run.signal(signal.SIGUSR2)
        run.wait_for_event("upgrade_refused")
        tally.wait_for(tally.ok + 100)
    assert (tally.refused, tally.failed) == (0, [])
    assert run.events("handover_started") == 0


def test_a_reload_that_cannot_load_its_code_changes_nothing(idle: Run, tmp_path: Path) -> None:
    run, broken = start_with_path(idle, tmp_path)
    processes, generation = set(run.descendants()), run.snapshot().generation
    with load_on(run.port) as tally:
        break_module(broken, "lb.config.load")
        run.signal(signal.SIGHUP)
        run.wait_for_event("configuration_refused")
        wait_for(
            "readiness to say so", lambda: b"configuration refused at" in get(run.status_port, "/health/ready").body
        )
        tally.wait_for(tally.ok + 100)
        break_module(broken, "")
        run.signal(signal.SIGHUP)
        run.wait_for_event("configuration_applied")
    assert (tally.refused, tally.failed) == (0, [])
    assert run.snapshot().generation == generation + 1
    wait_for("the processes of before", lambda: set(run.descendants()) == processes)


def test_workers_that_cannot_start_never_replace_those_that_serve(idle: Run, tmp_path: Path) -> None:
    run, broken = start_with_path(idle, tmp_path)
    first, first_control = run.arbiter(), run.arbiter("control")
    with load_on(run.port) as tally:
        break_module(broken, "gunicorn.arbiter")
        run.signal(signal.SIGUSR2)
        run.wait_for_event("handover_failed", 2)
        tally.wait_for(tally.ok + 100)
    assert (tally.refused, tally.failed) == (0, [])
    assert (run.events("upgraded"), run.events("died")) == (1, 0)
    assert {first, first_control} <= set(run.descendants())
    break_module(broken, "")
    run.signal(signal.SIGUSR2)
    run.wait_for_event("handover_done", 2)


def start_with_path(run: Run, tmp_path: Path) -> tuple[Run, Path]:
    broken = tmp_path / "broken"
    broken.mkdir()
    run.environ = {"PYTHONPATH": f"{broken}{os.pathsep}{os.getcwd()}"}
    run.start()
    run.wait_until_ready()
    run.wait_for_event("serving plane=control")
    run.wait_for_workers()
    return run, broken


def break_module(directory: Path, name: str) -> None:
    """From now on every new Python process fails to import ``name``, as after a bad installation."""
    hook = f"""
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ImportError("broken on purpose: " + name)
sys.meta_path.insert(0, Broken())
"""
    (directory / "sitecustomize.py").write_text(hook)
