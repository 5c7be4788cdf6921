"""Who waits for room is served in order, within bounds, and leaves nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random

import gevent
import pytest
from gevent import Greenlet
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.errors import AttemptError
from lb.model import PoolTimeouts
from lb.proxy.deadlines import Deadline, Expired, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.member import Member
from lb.proxy.pool import LivePool
from lb.proxy.waiting import LEAD_NS, POLL_S
from lb.state.layout import DOWN, SH_VERDICT
from lb.structs import replace
from tests.support.scripted import FakeClock, FakeSegment, head_of
from tests.unit.proxy.live import Cursors, backends, exchange_of, live_pool

POLICY = "round_robin"


class Crowd:
    """Requests to one pool, each in a greenlet of its own; ``log`` has them in the order in which they were served."""

    def __init__(self, pool: LivePool, sweeper: Sweeper) -> None:
        assert pool.waiting is not None
        self.pool, self.waiting, self.sweeper = pool, pool.waiting, sweeper
        self.log: list[int] = []
        self.failures: dict[int, str] = {}
        self.served: dict[int, Exchange] = {}
        self.exchanges: list[Exchange] = []
        self.greenlets: list[Greenlet] = []

    def arrive(self, *excluded: Member, attempts: int = 0) -> int:
        number = len(self.greenlets)
        exchange = exchange_of(head_of(), Deadline(None))
        exchange.attempts = attempts
        exchange.total_at = exchange.started + self.pool.pool.timeouts.total_s
        self.exchanges.append(exchange)
        self.greenlets.append(gevent.spawn(self._request, number, exchange, list(excluded)))
        settle()
        return number

    def _request(self, number: int, exchange: Exchange, excluded: list[Member]) -> None:
        exchange.deadline.greenlet = gevent.getcurrent()
        exchange.waiting = self.waiting
        self.sweeper.deadlines.add(exchange.deadline)
        try:
            exchange.member = self.waiting.claim(exchange, POLICY, b"", excluded)
        except (AttemptError, Expired) as error:
            self.failures[number] = error.reason
        else:
            exchange.is_answering = True
            self.served[number] = exchange
            self.log.append(number)
        finally:
            self.sweeper.deadlines.discard(exchange.deadline)

    def end(self, number: int) -> None:
        self.served.pop(number).release()
        settle()

    def leave(self, number: int) -> None:
        """The client goes away, as the sweeper tells it: from the hub, at its next turn."""
        gevent.get_hub().loop.run_callback(self.greenlets[number].throw, Expired("client_gone"))

    def loads(self) -> list[int]:
        return [member.load() for member in self.pool.members]

    def close(self) -> None:
        while self.served:
            self.end(next(iter(self.served)))
        gevent.joinall(self.greenlets, raise_error=True)


def settle() -> None:
    """Everything that can run now has run."""
    for _ in range(3):
        gevent.sleep(0)


Crowds = Callable[..., contextlib.AbstractContextManager[Crowd]]


@pytest.fixture
def crowd(sweeper: Sweeper) -> Crowds:
    @contextlib.contextmanager
    def of(*limits: int, wait_s: float = 10.0, size: int = 100, segment: FakeSegment | None = None) -> Iterator[Crowd]:
        members = [one for i, most in enumerate(limits) for one in backends(i + 1, max_inflight=most)]
        named = [
            type(one)(f"b{i}", host=one.host, port=one.port, max_inflight=one.max_inflight)
            for i, one in enumerate(members)
        ]
        pool = live_pool(*named, segment=segment, timeouts=PoolTimeouts(queue_s=wait_s), queue_size=size)
        crowd = Crowd(pool, sweeper)
        yield crowd
        crowd.close()
        assert len(crowd.waiting) == 0
        assert crowd.loads() == [0] * len(limits) or segment is not None
        assert not pool.cells.inflight[pool.cells.slot]

    return of


def test_first_come_first_served(crowd: Crowds) -> None:
    with crowd(2) as one:
        for _ in range(6):
            one.arrive()
        assert (one.log, len(one.waiting)) == ([0, 1], 4)
        for number in range(4):
            one.end(number)
        assert one.log == [0, 1, 2, 3, 4, 5]


def test_who_was_served_at_once_has_not_waited(crowd: Crowds) -> None:
    with crowd(1) as one:
        one.arrive()
        one.arrive()
        gevent.sleep(0.02)
        one.end(0)
        assert one.exchanges[0].queued_s == 0.0
        assert one.exchanges[1].queued_s >= 0.02


def test_a_newcomer_does_not_overtake(crowd: Crowds) -> None:
    """Not even in the moment between a release and the turn of who was given the place."""
    with crowd(1) as one:
        one.arrive()
        one.arrive()
        one.served.pop(0).release()
        assert one.loads() == [1], "claimed for who waited"
        newcomer = one.arrive()
        assert one.log == [0, 1]
        one.end(1)
        assert one.log == [0, 1, newcomer]


def test_over_the_size_nobody_waits(crowd: Crowds) -> None:
    with crowd(1, size=2) as one:
        for _ in range(5):
            one.arrive()
        assert one.failures == {3: "backend_full", 4: "backend_full"}
        assert len(one.waiting) == 2


@pytest.mark.parametrize("bounds", [{"size": 0}, {"wait_s": 0.0}])
def test_where_nobody_may_wait_nobody_does(crowd: Crowds, bounds: dict[str, float]) -> None:
    with crowd(1, **bounds) as one:
        one.arrive()
        one.arrive()
        assert one.failures == {1: "backend_full"}


def test_a_wait_has_an_end(crowd: Crowds) -> None:
    with crowd(1, wait_s=0.05) as one:
        one.arrive()
        one.arrive()
        gevent.sleep(0.1)
        assert one.failures == {1: "queue_timeout"}
        assert 0.05 <= one.exchanges[1].queued_s < 1.0
        assert len(one.waiting) == 0


def test_all_waits_of_a_request_count_together(crowd: Crowds) -> None:
    with crowd(1, wait_s=0.05) as one:
        one.arrive()
        exchange = exchange_of(head_of(), Deadline(None))
        exchange.queued_s = 0.05
        with pytest.raises(AttemptError, match="backend_full"):
            one.waiting.claim(exchange, POLICY, b"", [])


def test_who_leaves_makes_room_in_the_queue(crowd: Crowds) -> None:
    with crowd(1, size=2) as one:
        for _ in range(3):
            one.arrive()
        one.leave(1)
        settle()
        assert (one.failures, len(one.waiting)) == ({1: "client_gone"}, 1)
        assert one.arrive() not in one.failures
        one.end(0)
        assert one.log == [0, 2]


def test_who_leaves_in_the_moment_of_its_turn_passes_it_on(crowd: Crowds) -> None:
    with crowd(1) as one:
        for _ in range(3):
            one.arrive()
        one.leave(1)
        one.served.pop(0).release()
        assert one.loads() == [1], "claimed for it already"
        settle()
        assert (one.failures, one.log) == ({1: "client_gone"}, [0, 2])


def test_who_may_not_use_the_place_holds_up_nobody(crowd: Crowds) -> None:
    """It has tried the backend that has room; who stands behind it has not."""
    with crowd(1, 1) as one:
        one.arrive()
        one.arrive()
        first = one.served[0].member
        assert first is not None
        picky = one.arrive(first, attempts=1)
        other = one.arrive()
        one.end(0)
        assert one.log == [0, 1, other]
        one.end(1)
        assert one.log == [0, 1, other, picky]


def test_who_comes_back_from_a_failed_attempt_stands_in_front_and_is_not_refused(crowd: Crowds) -> None:
    with crowd(1, size=1) as one:
        one.arrive()
        one.arrive()
        again = one.arrive(attempts=1)
        one.end(0)
        one.end(again)
        assert (one.log, one.failures) == ([0, again, 1], {})


def test_when_nobody_may_be_asked_any_more_nobody_waits_on(crowd: Crowds) -> None:
    with crowd(1) as one:
        one.arrive()
        one.arrive()
        one.pool.members[0].shared[SH_VERDICT] = DOWN
        one.pool.refresh()
        settle()
        assert one.failures == {1: "no_backend"}


def test_a_backend_that_comes_back_is_used_at_once(crowd: Crowds) -> None:
    with crowd(1, 1) as one:
        one.pool.members[1].shared[SH_VERDICT] = DOWN
        one.pool.refresh()
        one.arrive()
        one.arrive()
        one.pool.members[1].shared[SH_VERDICT] = 0
        one.pool.refresh()
        settle()
        assert one.log == [0, 1]


# --- several workers


def test_a_place_that_another_worker_released_is_found_by_looking(crowd: Crowds) -> None:
    segment = FakeSegment()
    with crowd(1, segment=segment) as one:
        others = one.pool.members[0].inflight
        others[0] = 1
        one.arrive()
        assert one.log == []
        others[0] = 0
        gevent.sleep(3 * POLL_S)
        assert one.log == [0]


def test_a_place_is_left_to_another_worker_where_somebody_has_waited_much_longer(crowd: Crowds) -> None:
    segment = FakeSegment()
    with crowd(1, segment=segment) as one:
        one.arrive()
        one.arrive()
        since = one.pool.cells.inflight
        since[0] = since[one.pool.cells.slot] - 2 * LEAD_NS
        one.end(0)
        assert (one.log, one.loads()) == ([0], [0])
        gevent.sleep(3 * POLL_S)
        assert one.log == [0, 1], "whoever it was left to did not come for it"


def test_the_other_workers_are_told_since_when_the_first_waits(crowd: Crowds) -> None:
    with crowd(1) as one:
        told = one.pool.cells
        one.arrive()
        assert told.inflight[told.slot] == 0
        one.arrive()
        one.arrive()
        assert told.inflight[told.slot] == int(one.exchanges[1].started * 1e9)
        one.end(0)
        assert told.inflight[told.slot] == int(one.exchanges[2].started * 1e9)


# --- whatever happens

EVENTS = st.lists(st.tuples(st.sampled_from("aaaerll"), st.integers(0, 50)), max_size=60)


@settings(max_examples=60)
@given(limits=st.lists(st.integers(1, 3), min_size=1, max_size=3), size=st.integers(0, 5), events=EVENTS)
def test_never_too_many_never_too_long_a_queue_nobody_overtaken_nobody_forgotten(
    limits: list[int], size: int, events: list[tuple[str, int]]
) -> None:
    """a: arrives; e: an answer ends; r: the same, and who is next leaves in that moment; l: one that waits leaves."""
    pool = live_pool(
        *[
            type(one)(f"b{i}", host=one.host, port=i + 1, max_inflight=most)
            for i, most in enumerate(limits)
            for one in backends(1)
        ],
        timeouts=PoolTimeouts(queue_s=60.0),
        queue_size=size,
    )
    one = Crowd(pool, Sweeper(gevent.get_hub()))
    for event, number in events:
        waiting = [i for i in range(len(one.greenlets)) if i not in one.log and i not in one.failures]
        busy = list(one.served)
        if event == "a":
            one.arrive()
        elif event == "l" and waiting:
            one.leave(waiting[number % len(waiting)])
            settle()
        elif event in "er" and busy:
            if event == "r" and waiting:
                one.leave(waiting[0])
            one.end(busy[number % len(busy)])
        assert all(load <= most for load, most in zip(one.loads(), limits, strict=True))
        assert sum(one.loads()) == len(one.served)
        assert len(one.waiting) <= size
        assert not len(one.waiting) or sum(one.loads()) == sum(limits), "room, and somebody waits"
        assert one.log == sorted(one.log)
    one.close()
    refused = {number for number, reason in one.failures.items()}
    assert refused | set(one.log) == set(range(len(one.greenlets)))
    assert (len(one.waiting), sum(one.loads())) == (0, 0)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), most=st.integers(1, 3))
def test_two_workers_share_a_limit_and_both_make_progress(seed: int, most: int) -> None:
    segment = [FakeSegment(index=0)]
    segment.append(FakeSegment(index=1))
    segment[1]._columns = segment[0]._columns
    random = Random(seed)
    workers = [
        Crowd(live_pool(*backends(1, max_inflight=most), segment=each), Sweeper(gevent.get_hub())) for each in segment
    ]
    for _ in range(6):
        for worker in workers:
            worker.arrive()
    for _ in range(2000):
        if all(len(worker.log) == 6 for worker in workers):
            break
        assert sum(workers[0].pool.members[0].inflight) <= most
        worker = random.choice(workers)
        if worker.served:
            worker.end(next(iter(worker.served)))
        else:
            gevent.sleep(0.001)
    assert [worker.log for worker in workers] == [[0, 1, 2, 3, 4, 5]] * 2
    for worker in workers:
        worker.close()


# --- a reload


@pytest.mark.parametrize("has_limit", [True, False])
def test_who_waits_over_a_reload_gets_what_it_brought(crowd: Crowds, *, has_limit: bool) -> None:
    with crowd(1) as one:
        one.arrive()
        one.arrive()
        before, one.pool = one.pool, live_pool(*backends(1, 2, max_inflight=1 if has_limit else None))
        one.pool.take_over(before)
        settle()
        assert (one.log, sum(one.loads())) == ([0, 1], 1)
        assert (one.pool.waiting is one.waiting) is has_limit
        one.end(0)
        one.pool = before


def test_nobody_who_waits_gets_a_backend_that_was_drained_meanwhile(crowd: Crowds) -> None:
    with crowd(1, 1) as one:
        first, second, waiting = one.arrive(), one.arrive(), one.arrive()
        before = one.pool
        drained, other = before.backends
        pool = replace(before.pool, backends=(replace(drained, state="drain"), other))
        for member, backend in zip(before.members, pool.backends, strict=True):
            member.backend = backend
        after = LivePool(pool, before.members, before.cells, Cursors(), Random(7).random, FakeClock(), 1)
        after.refresh()
        after.take_over(before)
        on = {one.served[number].member.backend.state: number for number in (first, second)}  # type: ignore[union-attr]
        one.end(on["drain"])
        gevent.sleep(2 * POLL_S)
        assert waiting not in one.served
        late = one.arrive()
        one.end(on["ready"])
        assert one.log[2:] == [waiting]
        one.end(waiting)
        assert one.log[2:] == [waiting, late]
