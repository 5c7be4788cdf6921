"""A user's own policy goes wrong in a running balancer, in every way, under load: no request fails."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest

from tests.chaos.process.load import load_on
from tests.chaos.process.running import Run
from tests.support.waiting import wait_for

GOOD_PICKS = 60
"""More than the check of a configuration asks for: what comes behind them happens in workers only."""
POLICY = """
import gevent, time
class Mine:
    picks = 0
    def build(self, members, eligible):
        def pick(ctx):
            Mine.picks += 1
            if Mine.picks > {after}:
                {then}
            return eligible[ctx.ticket() % len(eligible)]
        return pick
"""
GIVEN_UP = "policy=mine:Mine given up after 5 failures in a row, random picks until the next reload"
MISBEHAVIOUR = {
    "raises": "raise SystemExit('enough')",
    "runs-away": "while True: pass",
    "sleeps": "gevent.sleep(0.01)",
    "waits-for-a-lock": "gevent.lock.Semaphore(0).acquire()",
    "blocks": "gevent.monkey.get_original('time', 'sleep')(60)",
    "names-nobody": "return len(members)",
}


def write(run: Run, then: str, after: int = GOOD_PICKS) -> None:
    (run.directory / "mine.py").write_text(POLICY.format(then=then, after=after))


@pytest.fixture
def mine(idle: Run) -> Iterator[Run]:
    """A supervisor that serves with a policy of the user's own, which is good."""
    write(idle, "pass")
    backends = [f"http://127.0.0.1:{port}" for port in idle.backends]
    idle.configure(pools={"web": {"policy": {"class": "mine:Mine", "fallback": "random"}, "backends": backends}})
    idle.start()
    idle.wait_until_ready()
    idle.wait_for_workers()
    yield idle


def counted(run: Run, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{run.admin_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f'{name}{{pool="web"}}')).split()[-1])


def test_no_request_fails_whatever_it_does(mine: Run) -> None:
    processes = set(mine.descendants())
    with load_on(mine.port) as tally:
        tally.wait_for(200)
        assert counted(mine, "lb_policy_fallbacks_total") == 0
        for number, (name, then) in enumerate(MISBEHAVIOUR.items(), 1):
            write(mine, f"{then}  # {name}")
            mine.wait_for_event("configuration_applied", number)
            wait_for(f"{name} to be given up", lambda n=number: mine.log().count(GIVEN_UP) >= n * mine.workers)  # type: ignore[misc]
        failures = counted(mine, "lb_policy_failures_total")
        assert failures == 5 * mine.workers * len(MISBEHAVIOUR)
        assert counted(mine, "lb_policy_fallbacks_total") > failures
        write(mine, "pass")
        mine.wait_for_event("configuration_applied", len(MISBEHAVIOUR) + 1)
        tally.wait_for(tally.ok + 300)
        assert counted(mine, "lb_policy_failures_total") == failures
    assert (tally.refused, tally.failed) == (0, [])
    assert set(mine.descendants()) == processes
    assert mine.log().count("failure=") == len(MISBEHAVIOUR) * mine.workers


def test_a_broken_file_is_refused_where_it_is_checked(mine: Run) -> None:
    generation = mine.snapshot().generation
    with load_on(mine.port) as tally:
        broken = {"raise ImportError('not today')": "mine.py", "def": "SyntaxError"}
        for number, (text, said) in enumerate(broken.items(), 1):
            (mine.directory / "mine.py").write_text(f"{text}\n")
            mine.wait_for_event("configuration_refused", number)
            assert said in mine.log()
        write(mine, "raise ValueError('at once')", after=0)
        mine.wait_for_event("configuration_refused", 3)
        assert mine.snapshot().generation == generation
        tally.wait_for(tally.ok + 200)
        assert counted(mine, "lb_policy_fallbacks_total") == 0
    assert "failure=" not in mine.log()
