"""Time that runs out: in the greenlet it belongs to, once, and not after it was called off."""

from __future__ import annotations

from typing import Any

import gevent
import pytest
from greenlet import getcurrent, greenlet

from lb.proxy.deadlines import NEVER, PERIOD_S, Deadline, Expired, Sweeper
from tests.support.scripted import quick_sweeper, run_hub_until


def wait_for_ever(hub: Any) -> None:
    with gevent.Timeout(5):
        hub.switch()


def test_a_deadline_ends_whatever_its_greenlet_waits_for(deadline: Deadline, hub: Any) -> None:
    deadline.set(0.0, "backend_timeout")
    with pytest.raises(Expired) as caught:
        wait_for_ever(hub)
    assert caught.value.reason == "backend_timeout"
    assert deadline.at == NEVER


def test_no_library_swallows_it() -> None:
    assert not issubclass(Expired, Exception)


def test_one_that_has_not_come_waits(sweeper: Sweeper, deadline: Deadline) -> None:
    at = sweeper.now + 60.0
    deadline.at = at
    gevent.sleep(0.02)
    assert deadline.at == at


def test_each_deadline_is_its_own_greenlets(sweeper: Sweeper, hub: Any) -> None:
    ended: list[str] = []

    def wait(name: str) -> None:
        mine = Deadline(getcurrent())
        mine.set(0.0 if name == "a" else NEVER, "idle")
        sweeper.deadlines.add(mine)
        try:
            hub.switch()
        except Expired as expired:
            ended.append(f"{name} {expired.reason}")
        sweeper.deadlines.discard(mine)

    waiting = [greenlet(wait, hub) for _ in "ab"]
    for one, name in zip(waiting, "ab", strict=True):
        hub.loop.run_callback(one.switch, name)
    run_hub_until(lambda: ended)
    assert ended == ["a idle"]
    hub.loop.run_callback(waiting[1].switch)
    gevent.sleep(0)
    assert all(one.dead for one in waiting)


def test_one_that_was_called_off_by_another_of_the_same_sweep_is_not_thrown(sweeper: Sweeper, hub: Any) -> None:
    """A client counts as gone and its backend's time is up at once: the first to be thrown deals with both."""
    seen: list[str] = []

    def serve() -> None:
        mine, gone = Deadline(getcurrent()), Deadline(getcurrent())
        mine.set(0.0, "backend_timeout")
        gone.set(0.0, "client_gone")
        both = {mine, gone}
        sweeper.deadlines |= both
        try:
            hub.switch()
        except Expired as expired:
            seen.append(expired.reason)
            sweeper.deadlines -= both
        try:
            hub.switch()
        except Expired as expired:
            seen.append(f"again: {expired.reason}")

    server = greenlet(serve, hub)
    hub.loop.run_callback(server.switch)
    run_hub_until(lambda: seen)
    gevent.sleep(0.03)
    assert len(seen) == 1
    hub.loop.run_callback(server.switch)
    gevent.sleep(0)


def test_tasks_run_at_each_sweep_with_its_time(sweeper: Sweeper) -> None:
    times: list[float] = []
    sweeper.every_sweep(times.append)
    run_hub_until(lambda: len(times) > 1)
    assert times == sorted(times)
    assert sweeper.now >= times[0]


def test_a_stopped_sweeper_throws_nothing(hub: Any) -> None:
    with quick_sweeper() as sweeper:
        late = Deadline(getcurrent())
        sweeper.deadlines.add(late)
        sweeper.stop()
        late.set(0.0, "idle")
        gevent.sleep(0.03)
    assert late.at == 0.0


def test_in_earnest_it_is_late_by_a_tenth_of_a_second_at_most() -> None:
    assert PERIOD_S <= 0.1
