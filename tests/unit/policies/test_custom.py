"""Whatever a user's own policy does, somebody who may be picked is picked."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from lb.model import CUSTOM, CustomPolicy, Pool
from lb.policies.custom import FAILURES, Custom
from lb.policies.table import create
from tests.unit.policies.context import FakeContext, members_of

MEMBERS = members_of([1, 1, 1])
ELIGIBLE = (0, 2)
_numbers = count()


@pytest.fixture(autouse=True)
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.ERROR, "lb.policies")
    yield caplog


class Made:
    """A policy of the given text, and what it reported."""

    def __init__(self, source: str, budget_s: float = 1.0, **options: object) -> None:
        spec = f"made_by_a_test_{next(_numbers)}:P"
        custom = CustomPolicy(
            spec, json.dumps(options), "/nowhere", "/nowhere/p.py", source, "round_robin", budget_s, budget_s
        )
        policy = create(CUSTOM, Pool("web", MEMBERS, custom=custom))
        assert isinstance(policy, Custom)
        self.policy = policy
        self.reports: list[bool] = []
        policy.report = self.reports.append
        self.ctx = FakeContext()
        self.pick = policy.build(MEMBERS, ELIGIBLE)

    def picks(self, times: int) -> list[int]:
        return [self.pick(self.ctx) for _ in range(times)]


def policy(pick: str, build: str = "pass", extra: str = "") -> str:
    """The text of a module; ``pick`` and ``build`` are bodies in one line."""
    return f"""
import gevent, time, os
{extra}
def forever():
    while True: pass
class P:
    calls = 0
    def __init__(self, **options):
        self.options = options
    def build(self, members, eligible):
        {build}
        def pick(ctx):
            P.calls += 1
            {pick}
        return pick
"""


def test_it_picks() -> None:
    made = Made(policy("return eligible[-1]"))
    assert made.picks(3) == [2, 2, 2]
    assert made.reports == []


def test_it_gets_its_options_and_the_context() -> None:
    source = policy("return eligible[ctx.ticket() % len(eligible)]", 'assert self.options == {"share": [1, "a"]}')
    assert Made(source, share=[1, "a"]).picks(4) == [0, 2, 0, 2]


FAILING = {
    "raises": "raise ValueError('no')",
    "raises what no handler expects": "raise SystemExit(3)",
    "raises what has no text": "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})()",
    "raises what ends the process when it is shown": "raise type('E', (Exception,), {'__str__': lambda self: exit(3)})()",
    "raises what is never shown": "raise type('E', (Exception,), {'__str__': lambda self: forever()})()",
    "runs away": "while True: pass",
    "runs away for good": "\n            while True:\n                try: pass\n                except BaseException: pass",
    "runs away and catches everything": "\n            for _ in range(2):\n                try:\n"
    "                    while True: pass\n                except BaseException: pass\n            return 1",
    "sleeps": "gevent.sleep(0.001); return 0",
    "sleeps, and catches the refusal": "\n            try: gevent.sleep(0)\n            except BaseException: return 0",
    "returns nothing": "pass",
    "returns a backend": "return members[0]",
    "returns text": "return '0'",
    "returns a flag": "return False",
    "returns a float": "return 0.0",
    "returns who may not be picked": "return 1",
    "returns a negative position": "return -1",
    "returns a position that there is not": "return 10 ** 30",
    "returns what cannot be shown": "return type('R', (), {'__repr__': lambda self: 1 / 0})()",
    "returns what is never shown": "return type('R', (), {'__repr__': lambda self: forever()})()",
    "forks": "os.fork(); return 0",
    "changes the context": "ctx.load = len; return 0",
    "sets what the context has not": "ctx.members = members; return 0",
    "asks for what there is not": "return ctx.nothing",
}


@pytest.mark.parametrize("pick", FAILING.values(), ids=FAILING)
def test_whatever_it_does_the_fallback_picks_and_after_some_times_it_is_not_asked_again(
    pick: str, said: pytest.LogCaptureFixture
) -> None:
    made = Made(policy(pick), budget_s=0.005)
    assert made.picks(2 * FAILURES) == [0, 2] * FAILURES
    assert made.reports == [True] * FAILURES + [False] * FAILURES
    assert made.policy.is_given_up
    first, last = said.messages
    assert first.startswith("pool=web policy=made_by_a_test_") and "failure=" in first
    assert "given up after 5 failures in a row, round_robin picks until the next reload" in last
    assert made.policy.build(MEMBERS, ELIGIBLE)(made.ctx) in ELIGIBLE


def test_the_place_of_an_error_is_told(said: pytest.LogCaptureFixture) -> None:
    Made(policy("return 1 // 0")).picks(1)
    assert "ZeroDivisionError: integer division or modulo by zero (/nowhere/p.py:14)" in said.text


def test_failures_that_are_not_in_a_row_are_borne(said: pytest.LogCaptureFixture) -> None:
    made = Made(policy("return 2 if P.calls % FAILURES else 1", extra=f"FAILURES = {FAILURES}"))
    assert set(made.picks(FAILURES * 20)) == {0, 2}
    assert made.reports == [True] * 20
    assert not made.policy.is_given_up
    assert len(said.messages) == 1


@pytest.mark.parametrize("build", ["raise ValueError", "while True: pass", "gevent.sleep(0)", "return None"])
def test_a_build_that_fails_is_bridged_by_the_fallback_until_the_next(build: str) -> None:
    made = Made(policy("return 0", build), budget_s=0.005)
    assert made.picks(3) == [0, 2, 0]
    assert made.reports == [True] * 3


BROKEN = {
    "cannot be imported": "raise ImportError",
    "is no Python": "class P:::",
    "has no such class": "class Q: pass",
    "cannot be made": "class P:\n    def __init__(self): raise OSError",
    "exits": "import sys; sys.exit()",
}


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_what_could_be_loaded_when_it_was_checked_and_cannot_now(source: str, said: pytest.LogCaptureFixture) -> None:
    made = Made(source)
    assert made.policy.is_given_up
    assert made.picks(3) == [0, 2, 0]
    assert len(said.messages) == 2


def test_a_context_is_all_it_gets(tmp_path: Path) -> None:
    """Members and eligible positions cannot be changed through what it is given."""
    made = Made(policy("return 0", "self.given = (members, eligible)"))
    assert (tuple, tuple) == tuple(map(type, made.policy._policy.given))


@pytest.fixture
def keyboard() -> Iterator[None]:
    """SIGINT as in a terminal's foreground: a shell starts what runs in its background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
def test_a_person_at_the_keyboard_may_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        Made(policy("raise KeyboardInterrupt")).picks(1)


def test_without_a_class_it_is_the_default() -> None:
    plain = create(CUSTOM, Pool("web", MEMBERS))
    assert plain.build(MEMBERS, (1,))(FakeContext()) == 1
