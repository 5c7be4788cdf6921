"""A rate's bucket across real processes at full speed: exact while they are killed, and stopped, anywhere."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from random import Random

from lb.resilience.gcra import Gcra
from lb.state.bucket import Bucket
from lb.state.layout import SR_TURN
from lb.state.segment import Segment
from tests.integration.state.children import Child
from tests.support.scale import IS_FULL

RATE, BURST = 20_000.0, 10_000
TROUBLES = 300 if IS_FULL else 30


def taker(path: str, child: Child) -> None:
    """Takes at full speed; counts what it got right behind."""
    segment = Segment.open(path)
    counts = segment.claim_slot().counters(1)
    bucket = Bucket(segment.fd, 0, segment.shared(0), Gcra(RATE, BURST))
    child.say("ready")
    while True:
        if bucket.take() == 0:
            counts[0] += 1


def test_never_more_than_the_limit_and_nearly_all_of_it(segment: Segment) -> None:
    random, stopped_inside = Random(87), 0
    began = time.monotonic()

    def passed() -> int:
        return segment.totals(1)[0]

    def check() -> None:
        count = passed()
        assert count <= BURST + RATE * (time.monotonic() - began)

    with ExitStack() as stack:
        takers = [stack.enter_context(Child(lambda child: taker(segment.path, child))) for _ in range(3)]
        for child in takers:
            child.hear()
        for _ in range(TROUBLES):
            victim, turn = random.randrange(3), segment.shared(0)[SR_TURN]
            if random.random() < 0.3:
                takers[victim].kill()
                takers[victim] = stack.enter_context(Child(lambda child: taker(segment.path, child)))
                takers[victim].hear()
            else:
                takers[victim].signal(signal.SIGSTOP)
                _wait_for_more(passed, 200)
                takers[victim].signal(signal.SIGCONT)
            stopped_inside += segment.shared(0)[SR_TURN] > turn
            check()
        since, before = time.monotonic(), passed()
        _wait_for_more(passed, 20_000)
        elapsed_s = time.monotonic() - since
        check()
    assert stopped_inside, "some were stopped with the bucket in hand"
    assert (passed() - before) >= 0.9 * RATE * elapsed_s


def _wait_for_more(passed: object, count: int) -> None:
    assert callable(passed)
    wanted, deadline = passed() + count, time.monotonic() + 20
    while passed() < wanted:
        assert time.monotonic() < deadline, "stalled"
        time.sleep(0.001)
