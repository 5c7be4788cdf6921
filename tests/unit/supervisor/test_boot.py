from __future__ import annotations

from lb.supervisor.boot import PROBES_PATIENCE_S, START_PATIENCE_S, Boot, Phase


def test_ready_comes_after_the_first_probes() -> None:
    boot = Boot()
    assert (boot.phase, boot.deadline) == (Phase.PREPARING, None)
    boot.started(10.0)
    assert (boot.phase, boot.deadline) == (Phase.STARTING, 10.0 + START_PATIENCE_S)
    boot.serving(12.0)
    assert (boot.phase, boot.deadline) == (Phase.PROBING, 12.0 + PROBES_PATIENCE_S)
    boot.ready()
    assert (boot.phase, boot.deadline) == (Phase.READY, None)


def test_each_wait_is_bounded() -> None:
    boot = Boot()
    assert not boot.is_overdue(1e9)
    boot.started(0.0)
    assert not boot.is_overdue(START_PATIENCE_S - 0.1)
    assert boot.is_overdue(START_PATIENCE_S)
    boot.serving(5.0)
    assert not boot.is_overdue(7.9)
    assert boot.is_overdue(8.0)
    boot.ready()
    assert not boot.is_overdue(1e9)


def test_a_data_plane_that_comes_back_is_no_second_start() -> None:
    boot = Boot()
    boot.started(0.0)
    boot.serving(1.0)
    boot.serving(2.0)
    assert boot.deadline == 1.0 + PROBES_PATIENCE_S
    boot.ready()
    boot.serving(3.0)
    assert boot.phase == Phase.READY


def test_a_start_that_was_stopped_is_never_ready() -> None:
    boot = Boot()
    boot.started(0.0)
    boot.end()
    boot.serving(1.0)
    assert (boot.phase, boot.deadline) == (Phase.OVER, None)


def test_what_was_ready_stays_it_until_the_end() -> None:
    boot = Boot()
    boot.ready()
    boot.end()
    assert boot.phase == Phase.READY
