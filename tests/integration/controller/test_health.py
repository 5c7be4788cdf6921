"""The controller against real backends and a real segment: what workers get to see."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time

import gevent
import pytest

from lb.controller.controller import Controller
from lb.health import exchange
from lb.health.addresses import AddressBook, Addresses
from lb.model import Backend, Health, Pool
from lb.state.layout import (
    DOWN,
    H_CONTROLLER_BEAT_NS,
    SH_PROBE_OK_NS,
    SH_PROBES_FAILED,
    SH_PROBES_OK,
    SH_REFUSED_NS,
    SH_SHARE_MILLI,
    SH_TRANSITIONS,
    SH_VERDICT,
    UNKNOWN,
    UP,
)
from lb.structs import replace
from tests.integration.controller.machine import QUICK, Machine, wait_until
from tests.unit.health.origin import Origin, silence, status, unused_port


def test_first_round_is_quick_and_concurrent(machine: Machine, controller: Controller) -> None:
    """One good probe each, whatever ``rise`` says, and silent backends hold nobody up."""
    slow = Health("http", interval_s=30.0, timeout_s=0.5, rise=5)
    with Origin() as good, Origin(silence) as hangs:
        backends = [good.backend(f"g{i}") for i in range(20)] + [hangs.backend(f"h{i}") for i in range(20)]
        machine.publish(Pool("web", (*backends, Backend("none", host="127.0.0.1", port=unused_port())), health=slow))
        started = time.monotonic()
        controller.start()
        wait_until(lambda: machine.verdict("web/g19") == UP)
        assert time.monotonic() - started < 9.0, "20 silent ones, one after the other, take 10"
        assert machine.probed_generation == 0
        wait_until(lambda: machine.probed_generation == 1)
        assert time.monotonic() - started < 9.0
    assert {machine.verdict(f"web/h{i}") for i in range(20)} == {DOWN}
    assert machine.verdict("web/none") == DOWN


def test_down_after_fall_and_up_after_rise(machine: Machine, controller: Controller) -> None:
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=QUICK))
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == UP)
        before = machine.segment.health_version
        origin.script = status(503)
        wait_until(lambda: machine.verdict("web/b") == DOWN)
        cells = machine.shared("web/b")
        assert cells[SH_PROBES_FAILED] == 3
        assert machine.segment.health_version > before
        origin.script = status(200)
        wait_until(lambda: machine.verdict("web/b") == UP)
        assert cells[SH_TRANSITIONS] == 2
        assert cells[SH_PROBES_OK] >= 3


def test_a_flapping_backend_changes_at_most_once_per_interval(machine: Machine, controller: Controller) -> None:
    flapping = Health("http", interval_s=1.0, timeout_s=0.5, rise=1, fall=1)
    with Origin() as origin, Origin() as steady:
        machine.publish(Pool("web", (origin.backend(), steady.backend("steady")), health=flapping))
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == UP)
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            origin.script = status(503 if int(time.monotonic() * 4) % 2 else 200)
            gevent.sleep(0.05)
        assert machine.shared("web/b")[SH_TRANSITIONS] <= 3


def test_an_outage_of_all_is_over_when_one_is_back(machine: Machine, controller: Controller) -> None:
    """After ``rise`` quick probes, however short it was: only where another is up a verdict stands for its interval."""
    slow = Health("http", interval_s=600.0, timeout_s=0.5, rise=2, fall=1)
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=slow))
        machine.shared("web/b")[SH_VERDICT] = UP  # of an earlier controller
        origin.script = status(503)
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == DOWN, deadline_s=9.0)
        origin.script = status(200)
        wait_until(lambda: machine.verdict("web/b") == UP, deadline_s=9.0)


def test_a_refused_connect_is_checked_at_once(machine: Machine, controller: Controller) -> None:
    """A worker takes a backend out by a stamp; the next good probe, not the next regular one, brings it back."""
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=Health("tcp", interval_s=600.0)))
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == UP)
        cells, before = machine.shared("web/b"), machine.segment.health_version
        cells[SH_REFUSED_NS] = time.monotonic_ns()
        wait_until(lambda: cells[SH_PROBE_OK_NS] > cells[SH_REFUSED_NS], deadline_s=3.0)
        assert machine.segment.health_version > before
        assert machine.verdict("web/b") == UP


def test_a_stamp_of_an_earlier_boot_does_not_keep_a_backend_out(machine: Machine, controller: Controller) -> None:
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=QUICK))
        cells = machine.shared("web/b")
        cells[SH_REFUSED_NS] = time.monotonic_ns() + 10**15
        controller.start()
        wait_until(lambda: cells[SH_PROBE_OK_NS] > cells[SH_REFUSED_NS])


def test_a_restart_does_not_flap(machine: Machine) -> None:
    with Origin(status(503)) as origin:
        machine.publish(Pool("web", (origin.backend("up"), origin.backend("down")), health=replace(QUICK, fall=50)))
        machine.shared("web/up")[SH_VERDICT] = UP
        machine.shared("web/down")[SH_VERDICT] = DOWN
        controller = machine.controller()
        controller.start()
        wait_until(lambda: machine.shared("web/up")[SH_PROBES_FAILED] >= 2)
        controller.stop()
        assert (machine.verdict("web/up"), machine.verdict("web/down")) == (UP, DOWN)
        assert machine.shared("web/up")[SH_TRANSITIONS] == 0


def test_a_restart_while_names_do_not_resolve_takes_out_nobody_who_was_up(
    machine: Machine, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_knows(host: str, port: int) -> Addresses:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(exchange, "_book", AddressBook(nobody_knows))
    backends = tuple(Backend(name, host=f"{name}.test", port=80) for name in ("found", "new"))
    machine.publish(Pool("web", backends, health=QUICK))
    machine.shared("web/found")[SH_VERDICT] = UP
    controller.start()
    wait_until(lambda: machine.shared("web/found")[SH_PROBES_FAILED] > QUICK.fall + 1)
    wait_until(lambda: machine.verdict("web/new") == DOWN)
    assert machine.verdict("web/found") == UP


def test_type_none_is_up_without_a_probe(machine: Machine, controller: Controller) -> None:
    machine.publish(Pool("web", (Backend("b", host="192.0.2.1", port=9),), health=Health("none", interval_s=0.2)))
    controller.start()
    wait_until(lambda: machine.probed_generation == 1)
    assert machine.verdict("web/b") == UP
    assert machine.shared("web/b")[SH_PROBES_OK] == 0


def test_reload_keeps_what_did_not_change(machine: Machine, controller: Controller) -> None:
    with Origin() as kept, Origin() as new, Origin() as gone:
        patient = Health("http", interval_s=600.0, timeout_s=1.0)
        machine.publish(Pool("web", (kept.backend("kept"), gone.backend("gone")), health=patient))
        controller.start()
        wait_until(lambda: machine.probed_generation == 1)
        removed = machine.shared("web/gone")
        machine.publish(Pool("web", (kept.backend("kept"), new.backend("new")), health=patient))
        wait_until(lambda: machine.probed_generation == 2)
        assert machine.verdict("web/new") == machine.verdict("web/kept") == UP
        assert (kept.connections, new.connections, gone.connections) == (1, 1, 1)
        assert removed[SH_VERDICT] == UNKNOWN


def test_an_id_that_names_another_process_starts_anew(machine: Machine, controller: Controller) -> None:
    with Origin() as first, Origin(status(503)) as second:
        machine.publish(Pool("web", (first.backend(),), health=replace(QUICK, fall=99)))
        controller.start()
        wait_until(lambda: machine.probed_generation == 1)
        machine.publish(Pool("web", (second.backend(),), health=replace(QUICK, fall=99)))
        wait_until(lambda: machine.probed_generation == 2)
        assert machine.verdict("web/b") == DOWN


def test_new_probe_settings_keep_the_verdict(machine: Machine, controller: Controller) -> None:
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=QUICK))
        controller.start()
        wait_until(lambda: machine.probed_generation == 1)
        origin.script = status(503)
        machine.publish(Pool("web", (origin.backend(),), health=replace(QUICK, fall=99)))
        wait_until(lambda: machine.shared("web/b")[SH_PROBES_FAILED] >= 4)
        assert machine.verdict("web/b") == UP


def test_a_replaced_segment_gets_the_verdicts_at_once(machine: Machine, controller: Controller) -> None:
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=Health("http", interval_s=600.0)))
        controller.start()
        wait_until(lambda: machine.probed_generation == 1)
        machine.new_segment()
        wait_until(lambda: machine.verdict("web/b") == UP)
        wait_until(lambda: machine.probed_generation == 1)
        assert origin.connections == 1


def test_boot_before_there_is_anything(
    machine: Machine, controller: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    """No snapshot, then one whose segment is missing, then all there: said once each, nothing raised."""
    with Origin() as origin, caplog.at_level(logging.INFO, "lb"):
        controller.start()
        wait_until(lambda: controller.attachment.problem)
        machine.publish(Pool("web", (origin.backend(),), health=QUICK))
        wait_until(lambda: machine.verdict("web/b") == UP)
        wait_until(lambda: controller.attachment.problem == "")
    said = [record.getMessage() for record in caplog.records if "attachment" in record.getMessage()]
    assert len(said) == 2 and "No such file" in said[0] and said[1] == "attachment state=ok"


def test_a_damaged_snapshot_leaves_the_last_good_one_in_force(machine: Machine, controller: Controller) -> None:
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=QUICK))
        controller.start()
        wait_until(lambda: machine.probed_generation == 1)
        with open(machine.path, "w") as file:
            file.write("{")
        wait_until(lambda: "damaged snapshot" in controller.attachment.problem)
        origin.script = status(503)
        wait_until(lambda: machine.verdict("web/b") == DOWN)
        machine.publish(Pool("web", (origin.backend("c"),), health=QUICK))
        wait_until(lambda: machine.probed_generation == 2)


def test_heartbeat_and_reaping(machine: Machine, controller: Controller) -> None:
    """A worker that was killed leaves its inflight behind; the controller clears it."""
    machine.publish(Pool("web", (Backend("b", host="127.0.0.1", port=1),), health=Health("none")))
    column = machine.column("backend:web/b")
    program = (
        "import sys; from lb.state.segment import Segment; s = Segment.open(sys.argv[1]).claim_slot();"
        "s.segment.inflight_view(int(sys.argv[2]))[s.index] = 3; import os; os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, machine.segment_path, str(column)], check=False)
    assert machine.segment.inflight(column) == 3
    controller.start()
    wait_until(lambda: machine.segment.inflight(column) == 0)
    beat = machine.segment.header[H_CONTROLLER_BEAT_NS]
    wait_until(lambda: machine.segment.header[H_CONTROLLER_BEAT_NS] > beat)


def test_one_line_per_change(machine: Machine, controller: Controller, caplog: pytest.LogCaptureFixture) -> None:
    with Origin() as origin, caplog.at_level(logging.INFO, "lb.health"):
        machine.publish(Pool("web", (origin.backend(),), health=QUICK))
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == UP)
        origin.script = status(503)
        wait_until(lambda: machine.verdict("web/b") == DOWN)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", 'health backend=web/b verdict=up was=unknown reason="ok"'),
        ("WARNING", 'health backend=web/b verdict=down was=up reason="status 503"'),
    ]


def test_one_that_comes_up_gets_its_share_by_and_by(machine: Machine, controller: Controller) -> None:
    with Origin() as origin, Origin() as steady:
        members = (origin.backend(), steady.backend("steady"))
        machine.publish(Pool("web", members, health=QUICK, slow_start_s=2.0))
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == machine.verdict("web/steady") == UP)
        share, of_steady = machine.shared("web/b"), machine.shared("web/steady")
        assert share[SH_SHARE_MILLI] == of_steady[SH_SHARE_MILLI] == 0, "they begin together"
        origin.script = status(503)
        wait_until(lambda: machine.verdict("web/b") == DOWN)
        origin.script = status(200)
        wait_until(lambda: machine.verdict("web/b") == UP)
        came_up, seen = time.monotonic(), [share[SH_SHARE_MILLI]]
        before = machine.segment.health_version
        while seen[-1]:
            assert time.monotonic() < came_up + 8.0
            gevent.sleep(0.05)
            seen.append(share[SH_SHARE_MILLI])
        assert seen[:-1] == sorted(seen[:-1]) and seen[0] == 100 and len(set(seen)) >= 4, seen
        assert time.monotonic() - came_up > 1.9 and of_steady[SH_SHARE_MILLI] == 0
        assert machine.segment.health_version > before, "workers are told that it is over"


def test_one_that_refused_for_a_moment_starts_slowly_too(machine: Machine, controller: Controller) -> None:
    with Origin() as origin:
        machine.publish(Pool("web", (origin.backend(),), health=QUICK, slow_start_s=30.0))
        controller.start()
        wait_until(lambda: machine.verdict("web/b") == UP)
        cells = machine.shared("web/b")
        cells[SH_SHARE_MILLI] = 0
        cells[SH_REFUSED_NS] = time.monotonic_ns()
        wait_until(lambda: 0 < cells[SH_SHARE_MILLI] <= 200)


def test_one_that_joins_others_starts_slowly(machine: Machine, controller: Controller) -> None:
    with Origin() as origin, Origin() as steady:
        pool = Pool("web", (steady.backend("steady"),), health=QUICK, slow_start_s=30.0)
        machine.publish(pool)
        controller.start()
        wait_until(lambda: machine.verdict("web/steady") == UP)
        machine.publish(replace(pool, backends=(*pool.backends, origin.backend())))
        wait_until(lambda: machine.verdict("web/b") == UP)
        assert 0 < machine.shared("web/b")[SH_SHARE_MILLI] <= 200
        assert machine.shared("web/steady")[SH_SHARE_MILLI] == 0
