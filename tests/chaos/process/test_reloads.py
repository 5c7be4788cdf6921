"""HUP and USR2 under load: nothing is lost, and what is broken changes nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

from tests.chaos.process.load import load_on
from tests.chaos.process.running import Run
from tests.support.scale import TIMES
from tests.support.waiting import wait_for

FEWEST_REQUESTS = 5_000


def test_reloads_restart_nobody_and_lose_nothing(run: Run) -> None:
    processes = set(run.descendants())
    generation = run.snapshot().generation
    with load_on(run.port) as tally:
        for number in range(1, TIMES + 1):
            run.signal(signal.SIGHUP)
            run.wait_for_event("configuration_applied", number)
        tally.wait_for(FEWEST_REQUESTS)
    assert (tally.refused, tally.failed) == (0, [])
    assert run.snapshot().generation == generation + TIMES
    assert set(run.descendants()) == processes


def test_upgrades_replace_every_process_and_lose_nothing(run: Run) -> None:
    with load_on(run.port) as tally:
        run.signal(signal.SIGUSR2)
        run.wait_for_event("handover_done", 2)
        fds = len(os.listdir(f"/proc/{run.pid}/fd"))
        for number in range(2, TIMES + 1):
            before = run.arbiter(), run.arbiter("control")
            run.signal(signal.SIGUSR2)
            run.wait_for_event("handover_done", 2 * number)
            assert run.arbiter() != before[0]
            assert run.arbiter("control") != before[1]
        tally.wait_for(FEWEST_REQUESTS)
    assert (tally.refused, tally.failed) == (0, [])
    assert run.events("upgraded") == TIMES
    assert len(os.listdir(f"/proc/{run.pid}/fd")) == fds
    wait_for("the end of all earlier processes", lambda: len(run.descendants()) == 2 + 1 + run.workers, 15.0)
    wait_for("no zombies", lambda: not zombies_of(run.pid), 5.0)


def test_signals_that_come_during_an_upgrade_are_not_lost(run: Run) -> None:
    run.signal(signal.SIGUSR2)
    for _ in range(20):
        run.signal(signal.SIGHUP)
        time.sleep(0.03)  # spread over the life of the publisher, the rehearsal and the exec
    run.signal(signal.SIGUSR2)
    run.wait_for_event("upgraded", 2)
    run.signal(signal.SIGTERM)
    assert run.wait_for_end() == 0
    assert run.descendants() == []


def test_a_broken_file_changes_nothing(run: Run) -> None:
    processes, generation, good = set(run.descendants()), run.snapshot().generation, run.file.read_text()
    unset = good.replace("http://", "${LB_NO_SUCH_VARIABLE}")
    broken = ("pools: {web: [", good.replace("pools", "pool", 1), good.replace("http://", "ftp://"), unset, "")
    with load_on(run.port) as tally:
        for text in broken:
            before = run.events("configuration_refused")
            run.file.write_text(text)
            run.signal(signal.SIGHUP)
            run.wait_for_event("configuration_refused", before + 1)
        wait_for(
            "the problem to be shown", lambda: b"\nlb_config_last_reload_successful 0\n" in fetched(run, "/metrics")
        )
        assert b"the file is empty" in json.loads(fetched(run, "/api/v1/state"))["problem"].encode()
        wait_for("readiness to say it", lambda: b"/reload.json says why" in fetched(run, "/health/ready", "status"))
        tally.wait_for(tally.ok + 100)
        run.file.write_text(good)
        run.signal(signal.SIGHUP)
        run.wait_for_event("configuration_applied")
        wait_for("the good end", lambda: b"\nlb_config_last_reload_successful 1\n" in fetched(run, "/metrics"))
        assert json.loads(fetched(run, "/api/v1/state"))["problem"] == ""
        wait_for("no problem", lambda: b"problem" not in fetched(run, "/health/ready", "status"))
    assert (tally.refused, tally.failed) == (0, [])
    assert run.snapshot().generation == generation + 1
    wait_for("the processes of before", lambda: set(run.descendants()) == processes, 5.0)
    assert "Traceback" not in run.log()


def fetched(run: Run, path: str, listener: Literal["admin", "status"] = "admin") -> bytes:
    port = run.admin_port if listener == "admin" else run.status_port
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as not_ready:  # until the new generation's backends have been probed
        body = not_ready.read()
    return body


def test_more_workers_and_a_new_listener_come_by_a_second_arbiter(run: Run) -> None:
    first = run.arbiter()
    with load_on(run.port) as tally:
        run.workers = 3
        run.configure(workers=3, listeners=run.listeners(f"127.0.0.1:{run.spare_port}"))
        run.signal(signal.SIGHUP)
        run.wait_for_event("handover_done")
        assert len(run.wait_for_workers()) == 3
        with load_on(run.spare_port) as second:
            second.wait_for(100)
        run.workers = 2
        run.configure()
        run.signal(signal.SIGHUP)
        run.wait_for_event("handover_done", 2)
        wait_for("the listener's end", lambda: not is_open(run.spare_port), 15.0)
    assert (tally.refused, tally.failed) == (0, [])
    assert (second.refused, second.failed) == (0, [])
    wait_for("the end of the first arbiter", lambda: first not in run.descendants(), 15.0)


def test_a_listener_that_cannot_be_bound_changes_no_process(run: Run) -> None:
    first = run.arbiter()
    with socket.create_server(("127.0.0.1", 0)) as other, load_on(run.port) as tally:
        run.configure(listeners=run.listeners(f"127.0.0.1:{other.getsockname()[1]}"))
        run.signal(signal.SIGHUP)
        run.wait_for_event("handover_failed")
        tally.wait_for(tally.ok + 100)
    assert (tally.refused, tally.failed) == (0, [])
    assert "listener traffic: cannot bind 127.0.0.1:" in run.log()
    assert run.arbiter() == first
    os.kill(first, signal.SIGKILL)  # it comes back on the sockets that there are
    run.wait_for_event("serving plane=data", 2)
    run.configure()
    run.signal(signal.SIGHUP)
    run.wait_for_event("handover_done plane=data")


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
        tally.wait_for(tally.ok + 100)
        break_module(broken, "")
        run.signal(signal.SIGHUP)
        run.wait_for_event("configuration_applied")
    assert (tally.refused, tally.failed) == (0, [])
    assert run.snapshot().generation == generation + 1
    wait_for("the processes of before", lambda: set(run.descendants()) == processes, 5.0)


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


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def zombies_of(pid: int) -> list[str]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        stat = Path(f"/proc/{child}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            found.append(child)
    return found
