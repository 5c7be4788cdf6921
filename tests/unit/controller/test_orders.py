"""Three machines of two workers each, in this process: whatever happens between them, the shares stay even."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.controller.orders import IDLE_LOOK_S, LOOK_S, POLL_S, Orders
from lb.controller.periodic import Periodic
from lb.model import Backend, Config, Geo, Pool, Route, Snapshot, State
from lb.state.layout import SH_CURSOR, SH_CURSOR_WEIGHTED, SH_CYCLE
from lb.state.locks import column_byte
from lb.state.segment import Segment
from lb.state.store.errors import StoreError
from lb.state.store.order import digest
from lb.state.tickets import Tickets
from lb.structs import replace
from tests.integration.state.children import Child
from tests.support.machines import until
from tests.support.order_store import OrderLink, OrderStore
from tests.support.scripted import FakeClock

MACHINES, WORKERS = 3, 2
LATE_S = 0.050


class Machine:
    def __init__(self, world: World, name: str, segment: Segment) -> None:
        self.world = world
        self.segment = segment
        self.link = OrderLink(world.store, name)
        self.heard: list[list[str]] = []
        world.store.subscribers.append(self.heard)
        self.polls_at = 0.0
        self.start_controller()
        self.workers = [self._worker() for _ in range(WORKERS)]

    def start_controller(self) -> None:
        self.part = Orders(self.link, self.world.clock)  # type: ignore[arg-type]
        self.part.apply(self.world.snapshot(), self.segment)

    def _worker(self) -> Tickets:
        tickets = Tickets(self.segment, 0, 1, self.world.clock)
        tickets.cycle = self.world.cycle
        return tickets

    def take(self, worker: int) -> int:
        ticket = self.workers[worker].next() % self.world.cycle
        self.world.counts[ticket] += 1
        return ticket

    def look(self) -> None:
        with suppress(StoreError):
            if self.part.look() or self.world.clock.now >= self.polls_at:
                self.polls_at = self.world.clock.now + POLL_S
                self.part.tell()

    def hear(self) -> None:
        for words in self.heard:
            self.part.hear(words)
        self.heard.clear()


class World:
    def __init__(self, cycle: int, segments: list[Segment]) -> None:
        self.cycle = cycle
        self.clock = FakeClock()
        self.store = OrderStore()
        self.counts = [0] * cycle
        for segment in segments:
            segment.clear(0)
        self.machines = [Machine(self, f"m{i}", segment) for i, segment in enumerate(segments)]

    def snapshot(self, **changes: Any) -> Snapshot:
        members = tuple(Backend(f"b{i}", host="h", port=i + 1) for i in range(self.cycle))
        pool = Pool("web", members, **{"policy": "round_robin", **changes})
        return Snapshot(1, Config("", (), (pool,), (), State("")), "", {"pool:web": 0})

    @property
    def spread(self) -> int:
        return max(self.counts) - min(self.counts)

    def settle(self, seconds: float = LATE_S) -> None:
        """Time goes by; everybody looks and hears in time."""
        for _ in range(round(seconds / LOOK_S)):
            self.clock.now += LOOK_S
            for machine in self.machines:
                machine.look()
            for machine in self.machines:
                machine.hear()

    def all_is_well(self) -> None:
        for machine in self.machines:
            machine.link.is_up, machine.link.loses_answers = True, False
        self.settle(2 * POLL_S)

    def spaced(self, count: int, random: Random) -> list[int]:
        taken = []
        for _ in range(count):
            taken.append(random.choice(self.machines).take(random.randrange(WORKERS)))
            self.settle()
        return taken


@contextmanager
def machine_files() -> Iterator[list[Segment]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        segments = [Segment.create(f"{folder}/{i}.seg", slots=4, columns=2) for i in range(MACHINES)]
        for segment in segments:
            stack.callback(segment.close)
        yield segments


@pytest.fixture(scope="module")
def segments() -> Iterator[list[Segment]]:
    with machine_files() as segments:
        yield segments


def is_strict(taken: list[int], cycle: int) -> bool:
    return all((later - earlier) % cycle == 1 % cycle for earlier, later in pairwise(taken))


KINDS = ("take", "take", "take", "look", "look", "hear", "drop", "lose", "down", "up", "restart", "settle", "pause")
Event = tuple[str, int, int, int]
EVENTS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, MACHINES - 1), st.integers(0, WORKERS - 1), st.integers(1, 40)),
    max_size=120,
)


def happen(world: World, event: Event) -> None:
    kind, which, worker, count = event
    machine = world.machines[which]
    match kind:
        case "take":
            for _ in range(count):
                world.clock.now += 0.0002 if count > 10 else 0.005
                machine.take(worker)
        case "look":
            world.clock.now += LOOK_S
            machine.look()
        case "hear":
            machine.hear()
        case "drop":
            machine.heard.clear()
        case "lose":
            machine.take(worker)
            machine.link.loses_answers = True
            world.clock.now += LOOK_S
            machine.look()
        case "down" | "up":
            machine.link.is_up = kind == "up"
        case "restart":
            machine.start_controller()
        case "settle":
            machine.workers[worker].settle()
        case "pause":
            world.clock.now += count / 10


def use_up_rests(world: World) -> None:
    """Of the leases, and what each machine took alone."""
    world.all_is_well()
    for machine in world.machines:
        for worker in range(WORKERS):
            for _ in range(world.cycle + 1):
                machine.take(worker)
                world.settle()


@settings(deadline=None, max_examples=100)
@given(cycle=st.sampled_from([1, 2, 3, 5, 8]), events=EVENTS, seed=st.integers(0, 1000))
def test_whatever_happens_shares_stay_even_and_order_comes_back(
    segments: list[Segment], cycle: int, events: list[Event], seed: int
) -> None:
    world = World(cycle, segments)
    for event in events:
        happen(world, event)
        assert world.spread <= MACHINES * WORKERS
    use_up_rests(world)
    assert world.spread <= MACHINES * WORKERS
    taken = world.spaced(12, Random(seed))
    assert is_strict(taken, cycle), taken
    assert world.spread <= 1


def test_requests_far_enough_apart_are_in_order_from_the_first_on(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    assert world.spaced(60, Random(1)) == [i % 3 for i in range(60)]


@pytest.mark.parametrize("cycle", [3, 7])
def test_no_drift_over_a_long_run(segments: list[Segment], cycle: int) -> None:
    world, random = World(cycle, segments), Random(cycle)
    for _ in range(30):
        for _ in range(100):
            event = random.choice(KINDS), random.randrange(MACHINES), random.randrange(WORKERS), random.randrange(1, 41)
            happen(world, event)
            assert world.spread <= MACHINES * WORKERS
        use_up_rests(world)
        assert world.spread <= 1
    assert sum(world.counts) > 10_000


@settings(deadline=None, max_examples=50)
@given(events=EVENTS, flushes=st.lists(st.integers(0, 120), max_size=3))
def test_a_store_that_forgets_costs_one_each_time_at_most(
    segments: list[Segment], events: list[Event], flushes: list[int]
) -> None:
    world = World(3, segments)
    for i, event in enumerate(events):
        if i in flushes:
            world.store.hashes.clear()
        happen(world, event)
        assert world.spread <= MACHINES * WORKERS + len(flushes)


def test_an_order_that_was_flushed_goes_on_where_it_was(segments: list[Segment]) -> None:
    world, random = World(5, segments), Random(3)
    taken = world.spaced(7, random)
    world.store.hashes.clear()
    taken += world.spaced(7, random)
    assert taken == [i % 5 for i in range(14)]


def test_without_the_store_each_machine_is_even_and_in_order(segments: list[Segment]) -> None:
    world = World(3, segments)
    for machine in world.machines:
        machine.link.is_up = False
    for machine in world.machines:
        taken = []
        for i in range(30):
            taken.append(machine.take(i % WORKERS))
            world.settle()
        assert taken == [i % 3 for i in range(30)]


def test_the_same_ticket_at_two_machines_is_made_good_within_a_cycle(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    a, b, _ = world.machines
    assert (a.take(0), b.take(0)) == (0, 0)
    world.settle()
    after = []
    for machine in (a, b, a, b, a, b, a, b):
        after.append(machine.take(0))
        world.settle()
    assert after == [1, 1, 2, 2, 0, 1, 2, 0], world.counts
    assert world.spread <= 1


def test_a_busy_machine_keeps_its_own_order_and_is_quiet(segments: list[Segment]) -> None:
    """Requests 4 ms apart at each of two machines: neither is thrown about, and hardly anything is pushed."""
    world = World(3, segments)
    world.settle()
    a, b, _ = world.machines
    before = a.link.calls
    taken: dict[int, list[int]] = {0: [], 1: []}
    for i in range(500):
        world.clock.now += 0.004
        for m, machine in enumerate((a, b)):
            taken[m].append(machine.take(i % WORKERS))
            if i % 4 == 0:
                machine.look()
                machine.hear()
    assert all(is_strict(one, 3) for one in taken.values())
    assert a.link.calls - before < 10
    assert world.spread <= 2


def test_an_answer_that_comes_after_later_news_is_old(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    a, b, c = world.machines

    def meanwhile() -> None:
        for machine in (b, c, a):
            machine.hear()
        assert b.take(0) == 1
        world.clock.now += 2 * LOOK_S
        b.look()
        a.hear()
        c.hear()

    assert a.take(0) == 0
    a.link.meanwhile = meanwhile
    for _ in range(2):
        world.clock.now += 2 * LOOK_S
        a.look()
    assert (a.take(0), c.segment.shared(0)[SH_CURSOR]) == (2, 2)


def test_a_cursor_that_is_held_is_moved_at_the_next_look(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    a, b, _ = world.machines
    path = b.segment.path

    def hold(child: Child) -> None:
        own = Segment.open(path)
        child.say(own.try_lock(column_byte(0)))
        child.hear()

    with Child(hold) as child:
        assert child.hear() == ["True"]
        a.take(0)
        world.settle()
        assert b.segment.shared(0)[SH_CURSOR] == 0
    world.settle(LOOK_S)
    assert b.segment.shared(0)[SH_CURSOR] == 1


def test_other_members_begin_another_order_and_their_own_is_found_again(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    assert world.spaced(5, Random(4)) == [0, 1, 2, 0, 1]
    for machine in world.machines:
        for worker in machine.workers:
            worker.cycle = 2
    world.settle(0.2)
    world.cycle = 2
    taken = world.spaced(9, Random(5))
    assert is_strict(taken, 2)
    assert len(world.store.hashes) == 2


def test_machines_with_other_configurations_share_nothing(segments: list[Segment]) -> None:
    world = World(3, segments)
    a, b, _ = world.machines
    other = world.snapshot()
    pool = other.config.pools[0]
    other = Snapshot(
        1, Config("", (), (Pool("web", pool.backends[::-1], "round_robin"),), (), State("")), "", {"pool:web": 0}
    )
    b.part.apply(other, b.segment)
    world.settle()
    for machine in (a, b):
        for _ in range(4):
            machine.take(0)
            world.settle()
    assert (a.segment.shared(0)[SH_CURSOR], b.segment.shared(0)[SH_CURSOR]) == (4, 4)
    assert len(world.store.hashes) == 2


def test_only_policies_that_a_request_can_have_are_looked_at(segments: list[Segment]) -> None:
    world = World(3, segments)
    for changes, routes, expected in (
        ({"policy": "peak_ewma"}, (), 0),
        ({"policy": "peak_ewma"}, (Route("r", "pool", pool="web", policy="weighted_round_robin"),), 1),
        ({"policy": "peak_ewma"}, (Route("r", "pool", pool="web", algo_override=True),), 2),
    ):
        snapshot = world.snapshot(**changes)
        config = Config("", (), snapshot.config.pools, routes, State(""))
        part = world.machines[0].part
        part.apply(Snapshot(1, config, "", snapshot.columns), world.machines[0].segment)
        assert len(part._orders) == expected


def test_the_weighted_order_has_cells_of_its_own(segments: list[Segment]) -> None:
    world = World(3, segments)
    a, b, _ = world.machines
    for machine in (a, b):
        machine.part.apply(world.snapshot(policy="weighted_round_robin"), machine.segment)
    workers = [Tickets(machine.segment, 0, 1, world.clock, cell=SH_CURSOR_WEIGHTED) for machine in (a, b)]
    for worker in workers:
        worker.cycle = 5
    world.settle(0.2)
    taken = []
    for i in range(10):
        taken.append(workers[i % 2].next() % 5)
        world.settle()
    assert is_strict(taken, 5) and a.segment.shared(0)[SH_CURSOR] == 0


def test_each_region_has_an_order_that_machines_share(segments: list[Segment]) -> None:
    """Of ``geo`` over round robin: in cells of the region's own, under a key of its own, and a map that differs is another."""
    world = World(3, segments)
    a, b, _ = world.machines
    columns = {"pool:web": 0, "region:web/EU": 1}
    for machine in (a, b):
        machine.segment.clear(1)
        pools = world.snapshot(policy="geo", geo_inner="round_robin").config.pools
        config = Config("", (), pools, (), State(""), geo=Geo("db", "EU", {"EU": ("europe",)}, {"EU": ("EU",)}))
        machine.part.apply(Snapshot(1, config, "", columns), machine.segment)
    workers = [Tickets(machine.segment, 1, 1, world.clock) for machine in (a, b)]
    for worker in workers:
        worker.cycle = 2
    world.settle(0.2)
    taken = []
    for i in range(10):
        taken.append(workers[i % 2].next() % 2)
        world.settle()
    assert is_strict(taken, 2) and a.segment.shared(0)[SH_CURSOR] == 0
    assert [key for key in world.store.hashes if ":web:round_robin@EU:" in key]
    pool = world.snapshot().config.pools[0]
    moved = replace(pool, backends=tuple(replace(one, region="US") for one in pool.backends))
    assert digest(pool, "round_robin", 2, "EU") != digest(moved, "round_robin", 2, "EU")
    assert digest(pool, "round_robin", 2) == digest(moved, "round_robin", 2)


def test_junk_in_the_store_is_put_right_by_what_machines_know(segments: list[Segment]) -> None:
    world, random = World(5, segments), Random(6)
    taken = world.spaced(7, random)
    (key,) = world.store.hashes
    world.store.hashes[key] = {"version": "x", "ticket": "-1", "by m0": "?"}
    taken += world.spaced(7, random)
    assert taken == [i % 5 for i in range(14)]


def test_it_looks_less_often_where_nothing_goes_on(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    a = world.machines[0]
    a.take(0)
    world.settle(3 * LOOK_S)
    assert a.part.look_s == LOOK_S
    world.settle(1.5)
    assert a.part.look_s == IDLE_LOOK_S
    assert IDLE_LOOK_S + LOOK_S < LATE_S


def test_a_timer_looks_and_wakes_who_tells_and_a_look_that_fails_is_not_the_last(
    segments: list[Segment], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(3, segments)
    a, b, _ = world.machines
    a.part._clock = b.part._clock = time.monotonic
    loops = [Periodic("orders", lambda part=one.part: part.round() or part.interval_s) for one in (a, b)]  # type: ignore[misc]
    for loop in loops:
        loop.start()
    until(lambda: a.part._timer is not None and a.link.calls > 0)
    look = a.part.look

    def fail_once() -> float:
        monkeypatch.setattr(a.part, "look", look)
        raise ZeroDivisionError

    monkeypatch.setattr(a.part, "look", fail_once)
    until(lambda: "a look failed" in caplog.text)
    a.take(0)
    until(lambda: len(world.store.hashes) == 1)
    assert caplog.text.count("a look failed") == 1
    for loop, one in zip(loops, (a, b), strict=True):
        loop.stop()
        one.part.end()
        assert one.part._timer is None


def test_what_was_taken_is_told_at_the_end(segments: list[Segment]) -> None:
    world = World(3, segments)
    world.settle()
    a, b, _ = world.machines
    a.take(0)
    a.part.end()
    b.hear()
    assert b.take(0) == 1


def test_a_new_segment_begins_anew(segments: list[Segment], tmp_path: Path) -> None:
    world = World(3, segments)
    world.settle()
    world.spaced(4, Random(7))
    a = world.machines[0]
    new = Segment.create(str(tmp_path / "new.seg"), slots=4, columns=2)
    a.segment = new
    a.part.apply(world.snapshot(), new)
    a.workers = [a._worker() for _ in range(WORKERS)]
    assert new.shared(0)[SH_CYCLE] == 3
    world.settle(2 * POLL_S)
    assert world.spaced(4, Random(8)) == [1, 2, 0, 1]
    new.close()
