"""What a user's function may do is bounded, and nobody else notices."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent
import pytest
from gevent import monkey
from gevent import socket as green
from gevent.lock import Semaphore

from lb.config.bounds import Bounds, OverBudget, SwitchRefused

BUDGET_S = 0.01
real_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


def forever() -> None:
    while True:
        pass


def back_whatever_comes() -> str:
    try:
        forever()
    except BaseException:
        return "back"


def forever_whatever_comes() -> None:
    while True:
        try:
            try:
                any(number < 0 for number in range(1_000_000))
            finally:
                sorted(range(10))
        except BaseException:
            continue


def forks() -> int:
    return os.fork()


def test_what_it_returns_and_raises_passes(bounds: Bounds) -> None:
    assert bounds.call(1.0, lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        bounds.call(1.0, lambda: 1 / 0)


@pytest.mark.parametrize("again", range(3))
def test_who_computes_for_too_long_is_ended(bounds: Bounds, again: int) -> None:
    began = time.thread_time()
    with pytest.raises(OverBudget, match="more than 10 ms"):
        bounds.call(BUDGET_S, forever)
    assert time.thread_time() - began < 1.0


@pytest.mark.parametrize("function", [back_whatever_comes, forever_whatever_comes])
def test_who_catches_that_is_ended_all_the_same(bounds: Bounds, function: Callable[[], Any]) -> None:
    began = time.thread_time()
    with pytest.raises(OverBudget):
        bounds.call(BUDGET_S, function)
    assert time.thread_time() - began < 3.0
    assert bounds.call(BUDGET_S, lambda: "the next one") == "the next one"


def test_a_child_that_it_forks_ends_at_once(bounds: Bounds) -> None:
    with pytest.raises(SwitchRefused, match="forked"):
        bounds.call(1.0, forks)
    child = os.fork()
    if not child:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


HAVE_NO_TEXT = {
    "raises": lambda self: 1 / 0,
    "wants to end the process": lambda self: sys.exit(3),
    "never ends": lambda self: forever(),
}


@pytest.mark.parametrize("show", HAVE_NO_TEXT.values(), ids=HAVE_NO_TEXT)
def test_what_cannot_be_shown_has_the_name_of_its_type(bounds: Bounds, show: Callable[[Any], str]) -> None:
    value = type("Theirs", (), {"__repr__": show})()
    assert bounds.text_of(BUDGET_S, value) == "<Theirs>"
    assert bounds.text_of(BUDGET_S, 5) == "5"


def test_who_blocks_is_ended_by_the_clock(bounds: Bounds) -> None:
    began = time.monotonic()
    with pytest.raises(OverBudget):
        bounds.call(BUDGET_S, lambda: real_sleep(30.0))
    assert time.monotonic() - began < 10.0


def test_a_machine_that_is_busy_elsewhere_does_not_count(bounds: Bounds) -> None:
    assert bounds.call(0.05, lambda: real_sleep(0.1)) is None


def read_from_nobody() -> bytes:
    ours, theirs = green.socketpair()
    with ours, theirs:
        return bytes(ours.recv(1))


WAITS: dict[str, Callable[[], Any]] = {
    "sleep": lambda: gevent.sleep(0.001),
    "no time at all": lambda: gevent.sleep(0),
    "join": lambda: gevent.spawn(gevent.sleep, 0.001).join(),
    "lock": lambda: Semaphore(0).acquire(),
    "read": lambda: read_from_nobody(),
    "thread": lambda: gevent.get_hub().threadpool.apply(real_sleep, (0.001,)),
    "hub": lambda: gevent.get_hub().switch(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_who_wants_to_wait_is_refused_at_once(bounds: Bounds, wait: Callable[[], Any]) -> None:
    others: list[int] = []
    other = gevent.spawn(others.append, 1)
    with pytest.raises(SwitchRefused):
        bounds.call(1.0, wait)
    assert not others
    other.join()
    gevent.sleep(0)


def test_in_a_greenlet_too_which_may_wait_afterwards(bounds: Bounds) -> None:
    def request() -> str:
        with pytest.raises(SwitchRefused):
            bounds.call(1.0, lambda: gevent.sleep(0))
        gevent.sleep(0)
        return "served"

    assert gevent.spawn(request).get() == "served"


def test_a_refusal_that_is_caught_still_counts(bounds: Bounds) -> None:
    def careless() -> int:
        try:
            gevent.sleep(0)
        except BaseException:
            return 1
        return 2

    with pytest.raises(SwitchRefused, match="caught"):
        bounds.call(1.0, careless)
    assert bounds.call(1.0, lambda: 5) == 5


def test_our_own_code_is_never_cut_off(bounds: Bounds) -> None:
    """The alarm waits until what the function called of ours has returned."""
    ours: dict[str, Any] = {"__name__": "lb.state.imaginary", "thread_time": time.thread_time, "done": []}
    exec(
        "def work():\n    until = thread_time() + 0.05\n    while thread_time() < until: pass\n    done.append(1)", ours
    )

    def theirs() -> None:
        ours["work"]()
        forever()

    with pytest.raises(OverBudget):
        bounds.call(BUDGET_S, theirs)
    assert ours["done"] == [1]


def test_no_alarm_goes_off_behind_it(bounds: Bounds) -> None:
    for _ in range(200):
        bounds.call(0.0005, lambda: None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    gevent.sleep(0.005)


def test_alarms_of_others_reach_them() -> None:
    heard: list[int] = []

    def theirs(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGALRM, theirs)
    try:
        bounds = Bounds()
        assert bounds.call(1.0, lambda: 1) == 1
        signal.raise_signal(signal.SIGALRM)
        assert heard == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_in_another_thread_there_is_no_budget() -> None:
    found: list[object] = []

    def run() -> None:
        bounds = Bounds()
        found.extend((bounds.has_budget, bounds.call(0.0001, lambda: "served")))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False, "served"]


def test_a_socket_of_the_system_may_be_asked_what_it_knows(bounds: Bounds) -> None:
    """What does not wait is nobody's business."""
    with socket.socket() as sock:
        assert bounds.call(1.0, sock.fileno) == sock.fileno()
