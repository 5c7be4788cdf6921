"""The life of a plane, on a clock and with processes of the test's own."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

from lb.supervisor.addresses import Bind
from lb.supervisor.plane import Actions, Event, Plane

OLD, NEW = (Bind("traffic", "127.0.0.1:80"),), (Bind("traffic", "127.0.0.1:81"),)


@dataclass
class World:
    """Pids from 101 on; ``serving`` says how many workers of each serve."""

    started: list[tuple[Bind, ...]] = field(default_factory=list)
    signals: list[tuple[int, signal.Signals]] = field(default_factory=list)
    serving: dict[int, int] = field(default_factory=dict)

    def start(self, binds: tuple[Bind, ...]) -> int:
        self.started.append(binds)
        return 100 + len(self.started)

    def plane(self) -> Plane:
        kill = lambda pid, sig: self.signals.append((pid, sig))  # noqa: E731
        return Plane("data", Actions(self.start, lambda pid: self.serving.get(pid, 0), kill), drain_s=30.0)


def serving_plane() -> tuple[World, Plane]:
    world = World()
    plane = world.plane()
    plane.begin(OLD, now=0.0)
    world.serving[101] = 2
    assert plane.tick(0.1) == [Event.SERVING]
    return world, plane


def test_it_says_once_that_it_serves() -> None:
    _, plane = serving_plane()
    assert plane.tick(0.2) == []
    assert not plane.wants_polling


def test_a_killed_arbiter_is_started_again_at_once_on_the_same_sockets() -> None:
    world, plane = serving_plane()
    assert plane.on_exit(101, "SIGKILL", now=5.0) == [Event.DIED]
    plane.tick(5.0)
    assert world.started == [OLD, OLD]
    assert plane.wants_polling


def test_one_that_cannot_start_is_tried_again_for_ever_but_less_often() -> None:
    world = World()
    plane = world.plane()
    plane.begin(OLD, now=0.0)
    plane.on_exit(101, "exit code 1", now=0.0)
    plane.tick(0.05)
    assert len(world.started) == 1
    assert plane.next_deadline() == 0.1
    plane.tick(0.1)
    assert len(world.started) == 2


def test_a_handover_drains_the_first_only_when_all_workers_of_the_second_serve() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=2, now=10.0)
    world.serving[102] = 1
    assert plane.tick(10.5) == []
    assert world.signals == []
    world.serving[102] = 2
    assert plane.tick(11.0) == [Event.HANDED_OVER]
    assert world.signals == [(101, signal.SIGTERM)]
    assert plane.current is not None and plane.current.pid == 102
    assert plane.binds == NEW


def test_until_then_the_sockets_of_both_are_needed() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=1, now=10.0)
    assert plane.addresses() == {"127.0.0.1:80", "127.0.0.1:81"}
    world.serving[102] = 1
    plane.tick(11.0)
    assert plane.addresses() == {"127.0.0.1:81"}


def test_a_second_arbiter_that_ends_changes_nothing() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=1, now=10.0)
    assert plane.on_exit(102, "exit code 1", now=10.2) == [Event.HANDOVER_FAILED]
    assert plane.current is not None and plane.current.pid == 101
    assert plane.binds == OLD
    assert world.signals == []


def test_a_second_arbiter_that_never_serves_is_ended_after_30_seconds() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=1, now=10.0)
    assert plane.next_deadline() == 40.0
    assert plane.tick(40.0) == [Event.HANDOVER_FAILED]
    assert world.signals == [(102, signal.SIGQUIT)]
    assert plane.current is not None and plane.current.pid == 101


def test_a_newer_handover_replaces_one_that_has_not_finished() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=1, now=10.0)
    plane.hand_over(OLD, workers=1, now=11.0)
    assert world.signals == [(102, signal.SIGTERM)]
    world.serving[103] = 1
    assert plane.tick(12.0) == [Event.HANDED_OVER]
    assert world.signals[1:] == [(101, signal.SIGTERM)]


def test_the_first_dying_meanwhile_is_started_again_and_still_handed_over() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=1, now=10.0)
    plane.on_exit(101, "SIGKILL", now=10.1)
    plane.tick(10.1)
    assert world.started == [OLD, NEW, OLD]
    world.serving[102] = 1
    assert plane.tick(10.5) == [Event.HANDED_OVER]
    assert world.signals == [(103, signal.SIGTERM)]


def test_one_that_does_not_end_gets_harder_signals() -> None:
    world, plane = serving_plane()
    plane.stop(signal.SIGTERM, now=100.0)
    for now in (129.0, 130.0, 132.0, 133.0):
        plane.tick(now)
    assert world.signals == [(101, signal.SIGTERM), (101, signal.SIGQUIT), (101, signal.SIGKILL)]


def test_nothing_is_started_again_after_stop() -> None:
    world, plane = serving_plane()
    plane.stop(signal.SIGTERM, now=100.0)
    assert plane.on_exit(101, "exit code 0", now=101.0) == []
    assert plane.tick(200.0) == []
    assert plane.is_empty
    assert len(world.started) == 1


def test_a_stranger_is_not_ours() -> None:
    _, plane = serving_plane()
    assert plane.on_exit(999, "exit code 0", now=1.0) == []
    assert plane.pids() == [101]


def test_logs_are_reopened_at_once_where_it_serves_and_once() -> None:
    world, plane = serving_plane()
    plane.reopen_logs()
    plane.tick(1.0)
    plane.tick(1.1)
    assert world.signals == [(101, signal.SIGUSR1)]


def test_one_that_does_not_serve_yet_reopens_its_logs_as_soon_as_it_does() -> None:
    """It has no handler for the signal, which would end it."""
    world = World()
    plane = world.plane()
    plane.begin(OLD, now=0.0)
    plane.reopen_logs()
    plane.tick(0.1)
    assert world.signals == []
    world.serving[101] = 1
    assert plane.tick(0.2) == [Event.SERVING]
    assert world.signals == [(101, signal.SIGUSR1)]


def test_one_that_takes_over_reopens_the_logs_that_it_opened_before() -> None:
    world, plane = serving_plane()
    plane.hand_over(NEW, workers=1, now=10.0)
    plane.reopen_logs()
    plane.tick(10.1)
    assert world.signals == [(101, signal.SIGUSR1)]
    world.serving[102] = 1
    plane.tick(10.2)
    assert world.signals[1:] == [(101, signal.SIGTERM), (102, signal.SIGUSR1)]


def test_one_that_is_started_again_has_opened_them_itself() -> None:
    world = World()
    plane = world.plane()
    plane.begin(OLD, now=0.0)
    plane.reopen_logs()
    plane.on_exit(101, "exit code 1", now=0.0)
    world.serving[102] = 1
    plane.tick(0.1)
    assert plane.current is not None and plane.current.pid == 102
    assert world.signals == []
