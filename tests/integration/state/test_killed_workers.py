"""``kill -9`` of workers in mid-request: nothing counted is lost, nothing inflight is left over."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack
from multiprocessing.connection import wait

from lb.state import slot as slot_module
from lb.state.layout import C_BYTES_OUT, C_COUNT
from lb.state.locks import GROW_BYTE, column_byte, slot_byte
from lb.state.segment import Segment
from tests.integration.state.children import Child, eventually

WORKERS, KILLS, BYTES_EACH = 4, 50, 1000


class Counting:
    """A worker that serves as fast as it can; every byte on its pipe is a request a client saw completed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.child = Child(self.serve)
        self.completed = 0

    def serve(self, child: Child) -> None:
        segment = Segment.open(self.path)
        slot = segment.claim_slot()
        cells, inflight, index = slot.counters(1), slot.segment.inflight_view(1), slot.index
        write, pipe = os.write, child._writes
        while True:
            inflight[index] += 1
            cells[C_COUNT] += 1
            cells[C_BYTES_OUT] += BYTES_EACH
            inflight[index] -= 1
            write(pipe, b".")

    def drain(self) -> bool:
        """Count what has arrived; False at the end of the pipe."""
        chunk = os.read(self.child.reads, 65536)
        self.completed += len(chunk)
        return bool(chunk)

    def kill(self) -> int:
        self.child.kill()
        while self.drain():
            pass
        self.child.close()
        return self.completed


def drain_for(workers: list[Counting], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        ready = wait([worker.child.reads for worker in workers], left)
        for worker in workers:
            if worker.child.reads in ready:
                worker.drain()


def test_counters_are_right_over_fifty_kills(segment: Segment) -> None:
    chance = random.Random(57)
    workers = [Counting(segment.path) for _ in range(WORKERS)]
    completed = 0
    for _ in range(KILLS):
        drain_for(workers, chance.uniform(0.0, 0.02))
        victim = chance.randrange(WORKERS)
        completed += workers[victim].kill()
        workers[victim] = Counting(segment.path)
    drain_for(workers, 0.1)
    completed += sum(worker.kill() for worker in workers)
    segment.reap()

    totals = segment.totals(1)
    assert completed > 1000
    assert completed <= totals[C_COUNT] <= completed + KILLS + WORKERS
    assert completed <= totals[C_BYTES_OUT] / BYTES_EACH <= completed + KILLS + WORKERS
    assert segment.inflight(1) == 0
    assert segment.live_slots() == []


def test_what_was_inflight_at_the_kill_is_gone_after_reap(segment: Segment) -> None:
    def hold(child: Child) -> None:
        own = Segment.open(segment.path)
        slot = own.claim_slot()
        slot.segment.inflight_view(0)[slot.index] = 3
        child.say(slot.index)
        child.hear()

    with Child(hold) as child:
        index = int(child.hear()[0])
        assert segment.reap() == [] and segment.inflight(0) == 3
        child.kill()
        assert segment.reap() == [index] and segment.inflight(0) == 0


def test_a_lock_dies_with_its_holder(segment: Segment) -> None:
    def lock(child: Child) -> None:
        own = Segment.open(segment.path)
        child.say(own.try_lock(column_byte(0)), own.try_lock(GROW_BYTE))
        child.hear()

    with Child(lock) as child:
        assert child.hear() == ["True", "True"]
        assert not segment.try_lock(column_byte(0))
        assert segment.try_lock(column_byte(1))
        child.kill()
        assert segment.try_lock(column_byte(0))
        segment.grow(9)


def test_a_process_killed_while_it_claims_leaves_a_usable_table(segment: Segment) -> None:
    def die_claiming(child: Child) -> None:
        own = Segment.open(segment.path)

        def die(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        slot_module.start_ticks = die  # type: ignore[assignment]  # the last step before the pid goes in
        own.claim_slot()

    with Child(die_claiming) as child:
        assert os.WTERMSIG(child.wait()) == signal.SIGKILL
    assert segment.try_lock(slot_byte(0))
    segment.unlock(slot_byte(0))
    assert segment.claim_slot().index == 0


def test_twenty_processes_that_claim_at_once_get_twenty_slots(segment: Segment) -> None:
    def claim(child: Child) -> None:
        own = Segment.open(segment.path)
        child.hear()
        child.say(own.claim_slot().index)
        child.hear()

    with ExitStack() as stack:
        children = [stack.enter_context(Child(claim)) for _ in range(20)]
        for child in children:
            child.say("go")
        taken = [int(child.hear()[0]) for child in children]
        assert len(set(taken)) == 20
        assert sorted(taken) == segment.live_slots()


def test_a_truncated_segment_kills_who_touches_it_and_the_next_gets_a_new_one(segment: Segment) -> None:
    def touch(child: Child) -> None:
        own = Segment.open(segment.path)
        child.say("open")
        child.hear()
        own.shared(1)[0] += 1

    with Child(touch) as child:
        child.hear()
        os.truncate(segment.path, 100)
        assert segment.is_stale()
        child.say("go")
        assert os.WTERMSIG(child.wait()) == signal.SIGBUS
    fresh = Segment.create(segment.path, slots=24, columns=2, generation=3)
    assert fresh.generation == 3 and fresh.claim_slot().index == 0
    fresh.close()


def test_all_who_find_it_gone_or_damaged_end_up_on_one_new_segment(segment: Segment) -> None:
    def recreate(child: Child) -> None:
        while child.hear()[0] == "create":
            own = Segment.create(segment.path, slots=24, columns=2)
            child.say("created")
            child.hear()
            child.say(own.is_stale())

    def damage(round_number: int) -> None:
        if round_number % 2:
            os.unlink(segment.path)
        else:
            os.truncate(segment.path, round_number * 100)

    with ExitStack() as stack:
        children = [stack.enter_context(Child(recreate)) for _ in range(4)]
        for round_number in range(30):
            damage(round_number)
            for child in children:
                child.say("create")
            for child in children:
                assert child.hear() == ["created"]
            assert [child.ask("look") for child in children] == [["False"]] * 4


def test_a_growing_segment_is_followed_by_running_processes(segment: Segment) -> None:
    def follow(child: Child) -> None:
        own = Segment.open(segment.path)
        old_view = own.shared(0)
        child.say("open")
        eventually(lambda: own.refresh(), "the new columns")
        old_view[1] = 5
        own.shared(39)[1] = 6
        child.say("done")

    with Child(follow) as child:
        child.hear()
        segment.grow(40)
        child.hear()
        assert (segment.shared(0)[1], segment.shared(39)[1]) == (5, 6)
