"""Round robin across real processes: order while slow, evenness while fast, progress always."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import ExitStack
from random import Random

import pytest

from lb.state.layout import SH_CURSOR
from lb.state.locks import GROW_BYTE, column_byte, slot_byte
from lb.state.segment import Segment
from lb.state.tickets import Tickets
from tests.integration.state.children import Child, eventually

CYCLE = 3


def ticket_server(path: str, child: Child) -> None:
    """Answers each line, which is the time in seconds, with a ticket."""
    now_s = 0.0
    tickets = Tickets(Segment.open(path), 0, CYCLE, lambda: now_s)
    while True:
        now_s = float(child.hear()[0])
        child.say(tickets.next())


@pytest.mark.parametrize("apart_s", [0.001, 0.005, 0.1])
def test_requests_one_after_the_other_over_eight_processes_are_in_order(segment: Segment, apart_s: float) -> None:
    random = Random(8)
    with ExitStack() as stack:
        eight = [stack.enter_context(Child(lambda child: ticket_server(segment.path, child))) for _ in range(8)]
        taken = [int(random.choice(eight).ask(1.0 + i * apart_s)[0]) for i in range(800)]
    assert taken == list(range(800))


def fast_taker(path: str, child: Child) -> None:
    """Takes tickets at full speed, counting each entry of the cycle in its own counter cells."""
    segment = Segment.open(path)
    slot = segment.claim_slot()
    cells, tickets = slot.counters(1), Tickets(segment, 0, CYCLE)
    child.say("ready")
    child.hear()
    while True:
        cells[tickets.next() % CYCLE] += 1


def test_at_full_speed_and_over_a_kill_the_counts_stay_even(segment: Segment) -> None:
    def taken() -> int:
        return sum(segment.totals(1)[:CYCLE])

    with ExitStack() as stack:
        takers = [stack.enter_context(Child(lambda child: fast_taker(segment.path, child))) for _ in range(4)]
        for child in takers:
            child.hear()
        for child in takers:
            child.say("go")
        eventually(lambda: taken() > 50_000, "50,000 tickets")
        takers[2].kill()
        eventually(lambda: taken() > 150_000, "150,000 tickets")
        for child in takers:
            child.kill()
    counts = segment.totals(1)[:CYCLE]
    leases, private, uncounted_at_the_kills = 4, 4, 4
    assert max(counts) - min(counts) <= leases + private + uncounted_at_the_kills


def holder(path: str, byte: int, child: Child) -> None:
    own = Segment.open(path)
    child.say(own.try_lock(byte))
    child.hear()
    own.unlock(byte)
    child.say("released")
    child.hear()


def test_a_stopped_lock_holder_stalls_nobody_and_spoils_no_balance(segment: Segment) -> None:
    tickets = Tickets(segment, 0, CYCLE)
    with Child(lambda child: holder(segment.path, column_byte(0), child)) as child:
        assert child.hear() == ["True"]
        child.stop()
        before = time.monotonic()
        counts = Counter(tickets.next() % CYCLE for _ in range(10_000))
        assert time.monotonic() - before < 5.0  # 0.1 s on a quiet machine
        assert max(counts.values()) - min(counts.values()) <= 1
        assert segment.shared(0)[SH_CURSOR] == 0
        child.signal(signal.SIGCONT)
        assert child.ask("release") == ["released"]
        assert tickets.next() == 0


def test_a_process_stopped_while_it_claims_is_passed_over(segment: Segment) -> None:
    with Child(lambda child: holder(segment.path, slot_byte(0), child)) as child:
        assert child.hear() == ["True"]
        child.stop()
        assert segment.claim_slot().index == 1
        assert segment.reap() == []


def test_a_stopped_grower_costs_the_next_one_a_second_not_its_life(segment: Segment) -> None:
    with Child(lambda child: holder(segment.path, GROW_BYTE, child)) as child:
        assert child.hear() == ["True"]
        child.stop()
        with pytest.raises(Exception, match="another process has been growing it for 1 s"):
            segment.grow(50)
        assert segment.columns == 2 and not segment.is_stale()
