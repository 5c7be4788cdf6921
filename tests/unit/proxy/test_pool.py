"""Who may be picked, what a pick counts, and what a retry costs."""

from __future__ import annotations

import contextlib
import gc
from random import Random
from time import monotonic_ns
from weakref import ref

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import AttemptError
from lb.model import Backend, CustomPolicy, HashOptions, Health, Retry, StoreLoss
from lb.policies.table import POLICIES
from lb.proxy.member import Member
from lb.proxy.pool import OUTAGE_LOOK_S, LivePool
from lb.state import layout
from lb.state.layout import (
    C_RETRIES,
    DOWN,
    SH_CPU_MILLI,
    SH_EJECTED_UNTIL_NS,
    SH_FULL_NS,
    SH_METRICS_NS,
    SH_PROBE_OK_NS,
    SH_REFUSED_NS,
    SH_SHARE_MILLI,
    SH_SLICE,
    SH_SLICE_UNTIL_NS,
    SH_VERDICT,
    UNKNOWN,
    UP,
)
from tests.support.scripted import FakeClock, FakeSegment
from tests.unit.proxy.live import Cursors, backends, live_pool

SECOND_NS = 1_000_000_000
PROBED = Health(type="tcp")


def judged(pool: LivePool, *verdicts: int) -> LivePool:
    for member, verdict in zip(pool.members, verdicts, strict=True):
        member.shared[SH_VERDICT] = verdict
    pool.refresh()
    return pool


def three(**settings: object) -> LivePool:
    return live_pool(*backends(1, 2, 3), **settings)  # type: ignore[arg-type]


def names(members: list[Member]) -> list[str]:
    return [member.backend.id for member in members]


# --- eligibility


@pytest.mark.parametrize(
    ("verdicts", "eligible"),
    [
        ((UNKNOWN, UNKNOWN, UNKNOWN), (0, 1, 2)),
        ((UP, UNKNOWN, DOWN), (0,)),
        ((DOWN, UNKNOWN, DOWN), (1,)),
        ((UP, UP, UP), (0, 1, 2)),
        ((DOWN, DOWN, DOWN), ()),
    ],
)
def test_up_goes_before_unknown_and_down_is_never_asked(verdicts: tuple[int, ...], eligible: tuple[int, ...]) -> None:
    assert judged(three(), *verdicts).eligible == eligible


@pytest.mark.parametrize(
    ("verdicts", "eligible"),
    [((UP, DOWN, UP), (0,)), ((DOWN, DOWN, UP), (2,)), ((UNKNOWN, DOWN, UP), (2,)), ((UNKNOWN, DOWN, UNKNOWN), (0,))],
)
def test_backups_come_only_when_no_other_is_left(verdicts: tuple[int, ...], eligible: tuple[int, ...]) -> None:
    pool = live_pool(*backends(1, 2), Backend("spare", host="127.0.0.1", port=3, backup=True))
    assert judged(pool, *verdicts).eligible == eligible


@given(
    st.lists(
        st.tuples(st.sampled_from([UNKNOWN, UP, DOWN]), st.booleans(), st.booleans(), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_eligible_is_one_kind_and_the_best_there_is(kinds: list[tuple[int, bool, bool, bool]]) -> None:
    pool = live_pool(*(Backend(str(i), host="127.0.0.1", port=i + 1, backup=kind[1]) for i, kind in enumerate(kinds)))
    now = monotonic_ns()
    ranks: list[int | None] = []
    for member, (verdict, backup, refused, ejected) in zip(pool.members, kinds, strict=True):
        member.shared[SH_VERDICT] = verdict
        member.shared[SH_REFUSED_NS] = now if refused else 0
        member.shared[SH_EJECTED_UNTIL_NS] = now + SECOND_NS if ejected else 0
        out = verdict == DOWN or refused
        ranks.append(None if out else (4 if ejected else 2 * (verdict == UNKNOWN)) + backup)
    best = min((rank for rank in ranks if rank is not None), default=-1)
    pool.refresh()
    assert pool.eligible == tuple(i for i, rank in enumerate(ranks) if rank == best)


def ago(seconds: float) -> int:
    return monotonic_ns() - int(seconds * SECOND_NS)


@pytest.mark.parametrize(
    ("health", "refused_s_ago", "probed_s_ago", "is_out"),
    [
        (PROBED, 0.5, 0.7, True),
        (PROBED, 5.0, 6.0, True),
        (PROBED, 0.5, 0.1, False),
        (PROBED, 0.5, 3600.0, True),
        (PROBED, 1.5, 3600.0, False),
        (Health(type="none"), 0.5, None, True),
        (Health(type="none"), 1.5, None, False),
    ],
    ids=["probed-before", "probed-long-before", "probed-since", "no-prober", "no-prober-later", "unprobed", "later"],
)
def test_a_refused_connect_takes_out_until_a_good_probe_or_for_a_second(
    health: Health, refused_s_ago: float, probed_s_ago: float | None, is_out: bool
) -> None:
    pool = three(health=health)
    shared = pool.members[1].shared
    shared[SH_REFUSED_NS] = ago(refused_s_ago)
    shared[SH_PROBE_OK_NS] = ago(probed_s_ago) if probed_s_ago is not None else 0
    pool.refresh()
    assert pool.eligible == ((0, 2) if is_out else (0, 1, 2))
    assert pool.needs_watch() is is_out


def test_half_of_a_pool_at_most_is_ejected() -> None:
    pool = live_pool(*backends(1, 2, 3, 4, 5))
    assert [pool.eject(member, 30.0) for member in pool.members] == [True, True, False, False, False]
    assert pool.eligible == (2, 3, 4)


def test_the_only_backend_is_never_ejected() -> None:
    pool = live_pool(*backends(1))
    assert not pool.eject(pool.members[0], 30.0)
    assert pool.eligible == (0,)


def test_an_ejection_ends_by_itself() -> None:
    pool = three()
    assert pool.eject(pool.members[0], 1e-9)
    pool.refresh()
    assert pool.eligible == (0, 1, 2)


# --- picking


def test_a_pick_is_counted_in_our_own_cell_until_it_is_released() -> None:
    segment = FakeSegment(slots=4, index=2)
    pool = three(segment=segment)
    member = pool.pick("round_robin", b"", ())
    assert list(member.inflight) == [0, 0, 1, 0]
    member.inflight[member.slot] -= 1
    assert list(member.inflight) == [0, 0, 0, 0]


def test_a_load_is_that_of_all_workers() -> None:
    pool = three()
    pool.members[0].inflight[0] = 2
    pool.members[0].inflight[3] = 1
    assert [pool.load(i) for i in range(3)] == [3, 0, 0]
    assert {pool.pick("least_connections", b"", ()).backend.id for _ in range(4)} == {"b1", "b2"}


def test_round_robin_is_in_order() -> None:
    pool = three()
    assert names([pool.pick("round_robin", b"", ()) for _ in range(5)]) == ["b0", "b1", "b2", "b0", "b1"]


def test_an_outage_is_looked_at_now_and_then_not_for_each_request() -> None:
    """A 503 must cost less than a request that is served."""
    clock = FakeClock()
    pool = judged(three(clock=clock), DOWN, DOWN, DOWN)
    with pytest.raises(AttemptError, match="no_backend"):
        pool.pick("random", b"", ())
    pool.members[1].shared[SH_VERDICT] = UP
    with pytest.raises(AttemptError, match="no_backend"):
        pool.pick("random", b"", ())
    clock.advance(OUTAGE_LOOK_S)
    assert names([pool.pick("random", b"", ())]) == ["b1"]


@pytest.mark.parametrize("policy", POLICIES)
def test_what_was_tried_is_not_picked_again(policy: str) -> None:
    pool = three()
    tried: list[Member] = []
    for _ in range(3):
        tried.append(pool.pick(policy, b"203.0.113.9", tried))
    assert len(set(names(tried))) == 3
    with pytest.raises(AttemptError, match="no_backend"):
        pool.pick(policy, b"203.0.113.9", tried)


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_gets_more_than_its_most(policy: str) -> None:
    pool = live_pool(
        Backend("one", host="127.0.0.1", port=1, max_inflight=1),
        Backend("three", host="127.0.0.1", port=2, max_inflight=3),
    )
    pool.members[1].inflight[0] = 1  # another worker's
    picked = names([pool.pick(policy, b"203.0.113.9", ()) for _ in range(3)])
    assert sorted(picked) == ["one", "three", "three"]
    with pytest.raises(AttemptError, match="backend_full"):
        pool.pick(policy, b"", ())
    pool.members[0].inflight[pool.members[0].slot] -= 1
    assert names([pool.pick(policy, b"", ())]) == ["one"]


@pytest.mark.parametrize("policy", POLICIES)
def test_who_has_tried_one_of_two_and_finds_the_other_full_may_wait(policy: str) -> None:
    pool = live_pool(*backends(1, 2, max_inflight=1))
    first = pool.pick(policy, b"", ())
    second = pool.pick(policy, b"", [first])
    with pytest.raises(AttemptError, match="backend_full"):
        pool.pick(policy, b"", [first])
    with pytest.raises(AttemptError, match="no_backend"):
        pool.pick(policy, b"", [first, second])
    assert [member.load() for member in pool.members] == [1, 1]


class Racing:
    """Another worker's claim, seen only behind ours: it took the last place in the same moment."""

    def __init__(self, inflight: memoryview) -> None:
        self.inflight = inflight
        self.claims = 1

    def acquire(self, _: bool) -> None:
        self.inflight[0] += self.claims
        self.claims = 0

    def release(self) -> None:
        pass


def test_of_two_workers_that_take_the_last_place_at_once_none_goes_over() -> None:
    pool = live_pool(*backends(1, max_inflight=1))
    pool.room._fence = Racing(pool.members[0].inflight)
    with pytest.raises(AttemptError, match="backend_full"):
        pool.pick("round_robin", b"", ())
    assert list(pool.members[0].inflight)[:2] == [1, 0], "what was too much was given back"


class Releasing(list[Member]):
    """Nobody is excluded. When it is looked at for the third time, another worker's request has ended."""

    def __init__(self, inflight: memoryview) -> None:
        super().__init__()
        self.inflight = inflight
        self.looks = 0

    def __contains__(self, _: object) -> bool:
        self.looks += 1
        if self.looks == 3:
            self.inflight[0] = 0
        return False


def test_who_finds_all_full_may_wait_also_when_one_is_not_any_more() -> None:
    pool = live_pool(*backends(1, max_inflight=1))
    pool.members[0].inflight[0] = 1
    with pytest.raises(AttemptError, match="backend_full"):
        pool.pick("round_robin", b"", Releasing(pool.members[0].inflight))
    assert list(pool.members[0].inflight)[:2] == [0, 0]


def test_who_loses_a_race_takes_another() -> None:
    pool = live_pool(*backends(1, 2, max_inflight=1))
    pool.room._fence = Racing(pool.members[0].inflight)
    assert pool.pick("round_robin", b"", ()) is pool.members[1]
    assert list(pool.members[0].inflight)[:2] == [1, 0]


def test_a_pool_without_limits_has_nobody_who_waits() -> None:
    assert three().waiting is None


def test_nobody_left_is_an_error_that_another_pool_may_be_tried_after() -> None:
    pool = judged(three(), DOWN, DOWN, DOWN)
    with pytest.raises(AttemptError) as caught:
        pool.pick("round_robin", b"", ())
    assert caught.value.reason == "no_backend"
    assert caught.value.answer.status == 503
    assert caught.value.retry.nothing_sent
    assert [member.load() for member in pool.members] == [0, 0, 0]


def test_a_pool_of_which_nobody_was_left_looks_again_at_each_pick() -> None:
    pool = judged(three(), DOWN, DOWN, DOWN)
    pool.members[1].shared[SH_VERDICT] = UP
    assert names([pool.pick("round_robin", b"", ())]) == ["b1"]


CUSTOM_CLASS = CustomPolicy(
    "theirs:Keeps",
    file="theirs.py",
    source="""
class Keeps:
    def build(self, members, eligible):
        def pick(ctx):
            self.ctx = ctx
            return eligible[0]
        return pick
""",
)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_pool_that_is_left_needs_no_collector(policy: str) -> None:
    """What a large configuration made is left out of its rounds for good. Also where a class of the user's own keeps what
    it was shown."""
    pool = three(policy=policy, custom=CUSTOM_CLASS if policy == "custom" else None)
    left = ref(pool)
    gc.disable()
    try:
        pool.pick(policy, b"key", ())
        pool.retire(None)
        del pool
        with gevent.Timeout(15, False):
            while left() is not None:  # a probe is under way
                gevent.sleep(0.005)
        assert left() is None
    finally:
        gc.enable()


def test_a_verdict_counts_from_the_refresh_on() -> None:
    pool = three()
    pool.pick("round_robin", b"", ())
    pool.members[1].shared[SH_VERDICT] = DOWN
    pool.refresh()
    assert set(names([pool.pick("round_robin", b"", ()) for _ in range(6)])) == {"b0", "b2"}


def test_each_policy_has_an_order_of_its_own() -> None:
    cursors = Cursors()
    pool = three(cursors=cursors)
    for _ in range(2):
        pool.pick("round_robin", b"", ())
        pool.pick("weighted_round_robin", b"", ())
    pool.pick("random", b"", ())
    assert {policy: source.taken for policy, source in cursors.sources.items()} == {
        "round_robin": 2,
        "weighted_round_robin": 2,
        "random": 0,
    }


def test_a_retry_takes_a_ticket_of_the_same_order() -> None:
    cursors = Cursors()
    pool = three(cursors=cursors)
    first = pool.pick("round_robin", b"", ())
    assert pool.pick("round_robin", b"", [first]) is not first
    assert list(cursors.sources) == ["round_robin"]


def test_tickets_are_cut_where_the_order_repeats() -> None:
    cursors = Cursors()
    pool = live_pool(
        Backend("a", host="127.0.0.1", port=1, weight=5), Backend("b", host="127.0.0.1", port=2), cursors=cursors
    )
    for policy in ("round_robin", "weighted_round_robin"):
        pool.pick(policy, b"", ())
    assert [source.cycle for source in cursors.sources.values()] == [2, 6]
    pool.members[1].shared[SH_VERDICT] = DOWN
    pool.refresh()
    pool.pick("round_robin", b"", ())
    assert cursors.sources["round_robin"].cycle == 1


def test_a_slow_tick_settles_every_order() -> None:
    cursors = Cursors()
    pool = three(cursors=cursors)
    pool.pick("round_robin", b"", ())
    pool.settle()
    assert cursors.sources["round_robin"].settled == 1


def test_the_same_client_keeps_its_backend_by_ip_hash() -> None:
    pool = live_pool(*backends(*range(1, 9)))
    assert len({pool.pick("ip_hash", b"203.0.113.9", ()).backend.id for _ in range(8)}) == 1
    assert len({pool.pick("ip_hash", b"203.0.113.%d" % i, ()).backend.id for i in range(100)}) == 8


# --- what policies look at


def test_a_backend_that_was_never_polled_has_the_best_score() -> None:
    pool = three()
    assert pool.score(0) == 1.0
    pool.members[0].shared[SH_METRICS_NS] = 1
    pool.members[0].shared[SH_CPU_MILLI] = 50_000
    assert pool.score(0) == pytest.approx(1 - 0.4 * 0.5)


def test_a_latency_estimate_fades_with_the_clock() -> None:
    clock = FakeClock()
    pool = three(clock=clock)
    for _ in range(3):
        pool.members[0].latency.observe(0.5, clock.now)
    assert pool.latency(0) == pytest.approx(0.5)
    assert pool.latency(1) == 0.0
    clock.advance(1.0)
    assert 0.0 < pool.latency(0) < 0.5


# --- the retry budget


def spent(pool: LivePool) -> int:
    """Retries until there are no more."""
    count = 0
    while pool.may_retry():
        count += 1
    return count


@pytest.mark.parametrize(("requests", "percent", "allowed"), [(0, 20.0, 0), (10, 20.0, 2), (4, 20.0, 0), (10, 0.0, 0)])
def test_retries_are_a_share_of_the_requests(requests: int, percent: float, allowed: int) -> None:
    pool = three(retry=Retry(budget_percent=percent, budget_min_per_s=0.0))
    pool.requests += requests
    assert spent(pool) == allowed
    assert pool.cells.counters[C_RETRIES] == allowed


def test_the_floor_is_the_machines_and_is_shared_by_its_workers() -> None:
    retry = Retry(budget_percent=0.0, budget_min_per_s=4.0)
    assert spent(three(retry=retry)) == 40
    assert spent(three(retry=retry, workers=4)) == 10


def test_a_budget_is_for_ten_seconds() -> None:
    clock = FakeClock()
    pool = three(retry=Retry(budget_percent=50.0, budget_min_per_s=0.0), clock=clock)
    pool.requests += 4
    assert spent(pool) == 2
    pool.requests += 2
    pool.settle()
    clock.advance(5.0)
    assert spent(pool) == 1
    clock.advance(10.0)
    assert spent(pool) == 0


# --- limits that machines share


def sharing(rule: StoreLoss, **cells: int) -> LivePool:
    """A pool of one backend with a limit of four, and what the controller has written of it."""
    pool = live_pool(*backends(1, max_inflight=4), on_store_loss=rule)
    for name, value in cells.items():
        pool.members[0].shared[getattr(layout, name)] = value
    return pool


def places(pool: LivePool) -> int:
    taken = 0
    with contextlib.suppress(AttemptError):
        while taken < 9:
            pool.pick("round_robin", b"", ())
            taken += 1
    return taken


@pytest.mark.parametrize("rule", ["open", "closed"])
@pytest.mark.parametrize(("held", "room"), [(0, 0), (3, 3), (9, 4)])
def test_a_slice_in_force_is_the_limit_but_never_above_what_is_configured(
    rule: StoreLoss, held: int, room: int
) -> None:
    pool = sharing(rule, SH_SLICE=held, SH_SLICE_UNTIL_NS=monotonic_ns() + 60 * SECOND_NS)
    assert places(pool) == room


@pytest.mark.parametrize(("rule", "lost", "room"), [("closed", 2, 0), ("open", 2, 2), ("open", 0, 4), ("open", 9, 4)])
def test_behind_the_end_of_a_slice_the_rule_for_a_lost_store_holds(rule: StoreLoss, lost: int, room: int) -> None:
    pool = sharing(rule, SH_SLICE=3, SH_SLICE_UNTIL_NS=monotonic_ns(), SH_SLICE_LOST=lost)
    assert places(pool) == room


def test_before_the_first_slice_nothing_is_taken_for_a_while() -> None:
    pool = sharing("open")
    assert places(pool) == 0
    pool.room._asked_by_ns = monotonic_ns()
    assert places(pool) == 4


@pytest.mark.parametrize("rule", ["open", "closed", None])
def test_who_finds_no_place_says_so_where_machines_share(rule: StoreLoss | None) -> None:
    pool = live_pool(*backends(1, max_inflight=1), on_store_loss=rule)
    pool.members[0].shared[SH_SLICE], pool.members[0].shared[SH_SLICE_UNTIL_NS] = 1, monotonic_ns() + 60 * SECOND_NS
    pool.pick("round_robin", b"", ())
    assert not pool.members[0].shared[SH_FULL_NS]
    before_ns = monotonic_ns()
    assert places(pool) == 0
    assert (pool.members[0].shared[SH_FULL_NS] >= before_ns) == (rule is not None)


# --- bounded loads


def test_the_sum_of_a_pool_is_that_of_its_members_over_all_workers() -> None:
    segment, options = FakeSegment(), HashOptions(bounded_load=1.25)
    members = (*backends(1, 2), Backend("limited", host="127.0.0.1", port=3, max_inflight=1))
    ours, theirs = (
        live_pool(*members, segment=worker, policy="consistent_hash", hash=options)
        for worker in (segment, segment.of_worker(2))
    )
    claimed = [ours.pick("consistent_hash", b"%d" % n, ()) for n in range(20)]
    claimed += [theirs.pick("random", b"", ()) for _ in range(9)]
    for pool in (ours, theirs, ours):
        kept = pool.keep(0)
        assert kept is not None
        claimed.append(kept)
        assert pool.keep(2) is None, "it has no room"
        assert pool.inflight() == len(claimed) == sum(pool.load(i) for i in range(3))
    for member in claimed[::2]:
        member.end()
    assert ours.inflight() == theirs.inflight() == len(claimed[1::2])


def test_two_workers_together_stay_below_the_bound() -> None:
    segment, options = FakeSegment(), HashOptions(bounded_load=1.25)
    pools = [
        live_pool(*backends(*range(1, 9)), segment=worker, policy="consistent_hash", hash=options)
        for worker in (segment, segment.of_worker(2), segment.of_worker(3))
    ]
    chance, running = Random(5), []
    for turn in range(2_000):
        pool = pools[turn % 3]
        member = pool.pick("consistent_hash", b"hot" if turn % 2 else b"%d" % turn, ())
        running.append(member)
        assert member.load() <= -(-125 * len(running) // 800)
        while len(running) > 40 and chance.random() < 0.6:
            running.pop(chance.randrange(len(running))).end()
    assert pools[0].inflight() == len(running)


def test_without_a_column_for_the_sum_it_is_added_up() -> None:
    """As after an update of the program, until the first snapshot of its own."""
    pool = live_pool(*backends(1, 2), policy="consistent_hash", hash=HashOptions(bounded_load=1.25))
    pool._sums = ()
    for n in range(5):
        pool.pick("consistent_hash", b"%d" % n, ())
    assert pool.inflight() == 5


# --- less than a share


def shares(pool: LivePool, policy: str, count: int = 6_000) -> list[float]:
    """Of each member's requests, of so many, each by another client; nobody has anything in flight meanwhile."""
    found = dict.fromkeys(pool.members, 0)
    for n in range(count):
        member = pool.pick(policy, b"%d" % n, ())
        member.end()
        found[member] += 1
    return [found[member] / count for member in pool.members]


@pytest.mark.parametrize(
    "policy", [name for name in POLICIES if name not in ("custom", "sticky_round_robin", "contract_hash")]
)
def test_who_has_just_come_up_gets_so_much_of_its_share_and_the_others_the_rest(policy: str) -> None:
    pool = live_pool(*backends(1, 2, 3, 4))
    before = shares(pool, policy)
    pool.members[2].shared[SH_SHARE_MILLI] = 200
    pool.refresh()
    found = shares(pool, policy)
    assert found[2] == pytest.approx(0.2 * before[2], abs=0.02), (before, found)
    assert sum(found) == pytest.approx(1.0) and min(found[0], found[1], found[3]) > 0.2
    pool.members[2].shared[SH_SHARE_MILLI] = 0
    pool.refresh()
    assert shares(pool, policy)[2] == pytest.approx(before[2], abs=0.03)


def test_where_all_have_just_come_up_nobody_is_held_back() -> None:
    pool = three()
    for member in pool.members:
        member.shared[SH_SHARE_MILLI] = 100
    pool.refresh()
    assert shares(pool, "random", 900) == pytest.approx([1 / 3] * 3, abs=0.06)


def test_who_is_the_only_one_left_gets_all_of_it() -> None:
    pool = three()
    first, second, third = pool.members
    third.shared[SH_SHARE_MILLI] = 100
    pool.refresh()
    assert pool.pick("round_robin", b"", [first, second]) is third


def test_a_key_goes_where_it_belongs_or_where_it_would_without_that_member() -> None:
    pool = three(policy="consistent_hash")
    home = {n: pool.pick("consistent_hash", b"%d" % n, ()) for n in range(300)}
    third = pool.members[2]
    third.shared[SH_SHARE_MILLI] = 300
    pool.refresh()
    for n, member in home.items():
        now = pool.pick("consistent_hash", b"%d" % n, ())
        assert now is member or member is third
