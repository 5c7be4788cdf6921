"""HUP under load: nothing is lost and nobody restarts, and a broken file changes nothing."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from typing import Literal

from tests.chaos.process.load import FEWEST_REQUESTS, load_on
from tests.chaos.process.running import Run
from tests.support.scale import TIMES
from tests.support.waiting import wait_for


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
    wait_for("the processes of before", lambda: set(run.descendants()) == processes)
    assert "Traceback" not in run.log()


def test_a_changed_file_means_the_same_as_a_signal(run: Run) -> None:
    good = run.file.read_text()
    run.file.write_text(good.replace("pools", "pool", 1))
    run.wait_for_event("configuration_refused")
    run.file.write_text(good)
    run.wait_for_event("configuration_applied")
    run.signal(signal.SIGUSR2)
    run.wait_for_event("upgraded")
    run.file.write_text(f"{good}\n")
    run.wait_for_event("configuration_applied", 2)
    assert run.events("file_changed") == 3


def fetched(run: Run, path: str, listener: Literal["admin", "status"] = "admin") -> bytes:
    port = run.admin_port if listener == "admin" else run.status_port
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as not_ready:  # until the new generation's backends have been probed
        body = not_ready.read()
    return body
