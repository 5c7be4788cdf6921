"""A pool as one worker sees it: who is eligible, and one pick-and-claim at a time.

Membership and verdicts change rarely and rebuild an immutable choice (``_build``); a pick only reads
it. The pool is its policies' ``PickContext``: loads and tickets come from shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Any, Protocol

from lb.errors import AttemptError, Retryable
from lb.model import CUSTOM, Pool, StoreLoss
from lb.policies.base import Picker, Policy
from lb.policies.custom import Custom
from lb.policies.groups import Standing, everybody
from lb.policies.mean_time import MeanTimes
from lb.policies.portions import Portion, split
from lb.policies.probe_pool import ProbePool
from lb.policies.score import score
from lb.policies.table import BY_KEY, BY_TABLE, MEAN_TIMES, create, deciding
from lb.policies.tables import TableSource, build_table
from lb.proxy.cells import Cells
from lb.proxy.eligible import Eligible
from lb.proxy.hash_key import key_readers
from lb.proxy.member import Member
from lb.proxy.probing import Prober
from lb.proxy.regions import RegionalPolicies, without_region
from lb.proxy.room import Room
from lb.proxy.sticky import StickySessions
from lb.proxy.waiting import Waiting
from lb.resilience.budget import RetryBudget
from lb.state.clients import Clients
from lb.state.layout import (
    C_POLICY_FAILURES,
    C_POLICY_FALLBACKS,
    C_RETRIES,
    SH_CPU_MILLI,
    SH_EJECTED_UNTIL_NS,
    SH_LATENCY_US,
    SH_MEMORY_MILLI,
    SH_METRICS_NS,
    SH_SHARE_MILLI,
)

NOTHING_SENT = Retryable(nothing_sent=True)
MAX_EJECTED_SHARE = 0.5
"""Of a pool, by passive ejection; probe verdicts and refused connects know no such bound."""
SHARED_ORDERS = ("round_robin", "weighted_round_robin")
"""The policies whose order machines share."""
OUTAGE_LOOK_S = 0.01


class TicketSource(Protocol):
    """``lb.state.tickets.Tickets``: the next number of an order shared by all workers."""

    cycle: int

    def next(self) -> int: ...
    def settle(self) -> None: ...


class LivePool:
    """Belongs to one worker; ``refresh`` before the first pick. ``random`` is injected so that tests can replay a pick."""

    def __init__(
        self,
        pool: Pool,
        members: Sequence[Member],
        cells: Cells,
        tickets: Callable[[str], TicketSource],
        random: Callable[[], float],
        clock: Callable[[], float],
        workers: int,
        on_store_loss: StoreLoss | None = None,
        tables: TableSource = build_table,
        regional: RegionalPolicies | None = None,
        standing: Standing | None = None,
        sums: Cells | None = None,
    ) -> None:
        """``on_store_loss``: None where no other machine shares the backends' limits. ``tables``: where policies that
        hash get theirs from. ``regional``: None where no request prefers a region. ``sums``: where all members together count, with bounded loads."""
        self.pool = pool
        self.members = tuple(members)
        self.backends = pool.backends
        self.cells = cells
        self.key = b""
        self.key_readers = key_readers(pool.hash, random, pool.geo_inner)
        self.random = random
        self.budget = RetryBudget(pool.retry.budget_percent, pool.retry.budget_min_per_s / workers)
        self.requests = 0
        self.clients: Clients | None = None
        """Who was here before; given by whoever has the machine's table of them."""
        self.eligible: tuple[int, ...] = ()
        self.portions: list[Portion] = []
        """Of the requests, by who may serve them; mostly one, of everybody eligible."""
        self._who = Eligible(pool, self.members, standing or Standing())
        self._clock = clock
        self._looked_at = float("-inf")
        self._tickets = tickets
        self._ticket_sources: dict[str, TicketSource] = {}
        self._source: TicketSource | None = None
        self._policies: dict[str, Policy] = {}
        self._pickers: dict[str, Picker] = {}
        self._built: dict[str, Picker] = {}
        """Ahead of their first pick."""
        self._thinned: tuple[int, ...] = ()
        """Who of the eligible gets less than its share for a while."""
        self._others: dict[str, Picker] = {}
        """Over the eligible but those."""
        self.regional = regional
        self.probes = ProbePool(pool.prequal, clock, self._start_probing)
        self._times: MeanTimes | None = None
        """Kept from when somebody first picks by them."""
        self._on_store_loss = on_store_loss
        self._tables = tables
        self._sums: Sequence[int] = sums.loads if sums is not None else ()
        self.room = Room(self.backends, self.members, on_store_loss)
        self.sticky = StickySessions(pool.id, pool.sticky, self.backends) if pool.sticky is not None else None
        self.waiting: Waiting | None = None
        """Who waits for room; None where nobody ever has to."""
        if self.room.has_limits:
            self.waiting = Waiting(self, pool.queue_size, pool.timeouts.queue_s, cells.inflight, cells.slot, random)
        if pool.custom is not None:
            self._create(CUSTOM)  # now, not at the first request: its imports may take long

    def __repr__(self) -> str:
        return f"<LivePool {self.pool.id} {len(self.eligible)} of {len(self.members)} eligible>"

    # --- PickContext

    def ticket(self) -> int:
        assert self._source is not None
        return self._source.next()

    def load(self, i: int) -> int:
        return sum(self.members[i].loads)

    def inflight(self) -> int:
        if self._sums:
            return sum(self._sums)
        return sum(self.load(i) for i in range(len(self.members)))  # an older program's snapshot has no column for it

    def latency(self, i: int) -> float:
        return self.members[i].latency.value(self._clock())

    def response_time(self, i: int) -> float:
        return self._times.seconds[i] if self._times is not None else 0.0

    def score(self, i: int) -> float:
        shared = self.members[i].shared
        if not shared[SH_METRICS_NS]:
            return 1.0
        return score(
            self.pool.adaptive,
            shared[SH_CPU_MILLI] / 1000,
            shared[SH_MEMORY_MILLI] / 1000,
            self.load(i),
            shared[SH_LATENCY_US] / 1e6,
        )

    def recall(self) -> int:
        return -1 if self.clients is None else self.clients.recall(self.key)

    def remember(self, i: int) -> None:
        if self.clients is not None:
            self.clients.remember(self.key, i)

    def _start_probing(self) -> None:
        """Called by the first pick that asks ``probes``."""
        Prober(self.members, self.pool.prequal, self.probes, self.load, self.random).start()

    # --- membership

    def refresh(self) -> None:
        """Looks at the verdicts again; cheap when nothing changed."""
        self._others.clear()
        portions = self._who.portions(monotonic_ns())
        if portions != self.portions:
            self.portions, self.eligible = portions, everybody(portions)
            self._pickers.clear()
            self._built.clear()
            self._prepare_orders()
            if self.waiting is not None:
                self.waiting.look()
        self._thinned = tuple(i for i in self.eligible if self.members[i].shared[SH_SHARE_MILLI])

    def _refresh_soon(self) -> None:
        """While nobody may be asked, verdicts are looked at as requests come, but not for each: a refusal is cheap."""
        now = self._clock()
        if now >= self._looked_at + OUTAGE_LOOK_S:
            self._looked_at = now
            self.refresh()

    def _prepare_orders(self) -> None:
        """Not at the next pick but now, where machines share them: the controller has to know the new cycle before the
        first ticket of it is taken."""
        if self._on_store_loss is None or not self.eligible:
            return
        for policy in SHARED_ORDERS:
            if policy == self.pool.policy or policy in self._ticket_sources:
                self._prepare(policy)
        if self.regional is not None and self.pool.geo_inner in SHARED_ORDERS:
            for name in self.regional.names["geo"].values():
                if self.pool.policy == "geo" or name in self._ticket_sources:
                    self._prepare(name)

    def needs_watch(self) -> bool:
        """Whether somebody is out for a time only, so that eligibility changes without a new verdict; or is none of this
        machine's subset, which changes with the machines."""
        return len(self.eligible) != len(self.members)

    def eject(self, member: Member, seconds: float) -> bool:
        """Takes a member out for a while, unless half of the pool is out that way already."""
        now = monotonic_ns()
        ejected = sum(1 for one in self.members if one.shared[SH_EJECTED_UNTIL_NS] > now)
        if ejected + 1 > len(self.members) * MAX_EJECTED_SHARE:
            return False
        member.shared[SH_EJECTED_UNTIL_NS] = now + int(seconds * 1e9)
        self.refresh()
        return True

    # --- picking

    def pick(self, policy: str, key: bytes, excluded: Sequence[Member]) -> Member:
        """The member for the next attempt, claimed: its inflight counts it from here on.

        AttemptError ``no_backend`` when nobody may be asked, ``backend_full`` when those who may be have no
        room. Never waits.
        """
        if not self.eligible:
            self._refresh_soon()
        self.key = key
        picker = self._pickers.get(policy) or self._prepare(policy)
        self._source = self._ticket_sources[policy]
        i = picker(self)
        if self._thinned:
            i = self._thin(policy, i)
        if excluded or self.room.has_limits:
            return self._claim(policy, i, excluded)
        member = self.members[i]
        member.begin()
        return member

    def _thin(self, policy: str, i: int) -> int:
        """``i``, or for the part of the requests that it is not to have yet one of those that get their full share."""
        share_milli = self.members[i].shared[SH_SHARE_MILLI]
        if not share_milli or len(self._thinned) == len(self.eligible) or 1000 * self.random() < share_milli:
            return i
        picker = self._others.get(policy)
        if picker is None:
            thinned = frozenset(self._thinned)
            full = [other for other in self.eligible if other not in thinned]
            # Two tickets of one order for a request: who comes behind it would get all that it is not to have.
            picker = self._others[policy] = self._build("random" if policy in SHARED_ORDERS else policy, full)
        return picker(self)

    def keep(self, i: int) -> Member | None:
        """Member ``i`` once more, claimed, for somebody who was there before; None: it has no room. A member that is to
        be drained keeps those that it has."""
        return self.members[i] if self.room.reserve(i) else None

    def may_keep(self, i: int) -> bool:
        """Whether member ``i`` may still be asked by those who were there before: it is not known to be down, not
        ejected, and no operator disabled it."""
        member = self.members[i]
        return not (self.backends[i].state == "disabled" or member.is_down() or member.is_out(monotonic_ns()))

    def _prepare(self, policy: str) -> Picker:
        """What every pick by this policy reads until eligibility changes again."""
        ahead: Picker | None = self._built.pop(policy, None)
        picker = self._pickers[policy] = self._build(policy, self.eligible) if ahead is None else ahead
        if self._times is None and self._chosen_by(policy) in MEAN_TIMES:
            self._times = MeanTimes(len(self.members))
            self._look_at_times(self._times)
        source = self._ticket_sources.get(policy)
        if source is None:
            source = self._ticket_sources[policy] = self._tickets(policy)
        source.cycle = getattr(self._policies[policy], "cycle", 0) or len(self.eligible)
        return picker

    def build_ahead(self) -> None:
        """What the first pick would build. Nobody need follow this pool yet: nothing is told to anybody."""
        if self.eligible:
            self._built[self.pool.policy] = self._build(self.pool.policy, self.eligible)

    def _build(self, policy: str, eligible: Sequence[int]) -> Picker:
        if not eligible:
            raise AttemptError("no_backend", self.pool.id, NOTHING_SENT)
        if len(self.portions) > 1:
            return self._split(policy, eligible)
        built = self._policies.get(policy)
        if built is None:
            built = self._create(policy)
        return built.build(self.backends, eligible)

    def _create(self, policy: str) -> Policy:
        made: Any = self._made(policy)
        self._policies[policy] = made
        if policy == CUSTOM:
            made.report = _counting(self.cells.counters)
        return made  # type: ignore[no-any-return]

    def _made(self, policy: str) -> Policy:
        if self.regional is None:
            return create(without_region(policy), self.pool, self._tables)
        return self.regional.create(policy, self._tables)

    def _chosen_by(self, policy: str) -> str:
        return deciding(without_region(policy), self.pool)

    def _split(self, policy: str, eligible: Sequence[int]) -> Picker:
        """Each portion has a policy of its own: what one has built over its members is another's no more. A user's own is
        there once, because to make it may take long, and so is one whose table serves all portions."""
        own = self._policies.get(policy) or self._create(policy)
        is_there_once = policy == CUSTOM or self._chosen_by(policy) in BY_TABLE
        wanted = frozenset(eligible)
        left = [(one.share, [i for i in one.positions if i in wanted]) for one in self.portions]
        built = [
            (share, (own if is_there_once else self._made(policy)).build(self.backends, positions))
            for share, positions in left
            if positions
        ]
        return built[0][1] if len(built) == 1 else split(built, by_key=self._chosen_by(policy) in BY_KEY)

    def _claim(self, policy: str, i: int, excluded: Sequence[Member]) -> Member:
        """``i``, or if that has been tried or is full, a pick among those that are neither: the rare, slower way."""
        if self.members[i] not in excluded and self.room.reserve(i):
            return self.members[i]
        left = self.left(excluded)
        while left:
            i = self._build(policy, left)(self)
            if self.room.reserve(i):
                return self.members[i]
            left.remove(i)
        # Not whether they are full now: a place that was given back meanwhile makes nobody's request hopeless.
        may_be_asked = any(self.members[i] not in excluded for i in self.eligible)
        raise AttemptError("backend_full" if may_be_asked else "no_backend", self.pool.id, NOTHING_SENT)

    def left(self, excluded: Sequence[Member]) -> list[int]:
        """Positions that a pick could still take."""
        return [i for i in self.eligible if self.members[i] not in excluded and not self.room.is_full(i)]

    def is_full(self, excluded: Sequence[Member]) -> bool:
        """Whether there is somebody who may be asked, and no room at any of them."""
        asked = [i for i in self.eligible if self.members[i] not in excluded]
        return bool(asked) and all(self.room.is_full(i) for i in asked)

    def settle(self) -> None:
        """On a slow tick: gives back tickets that nobody came for, and settles the accounts."""
        for source in self._ticket_sources.values():
            source.settle()
        if self._times is not None:
            self._look_at_times(self._times)
        self._tell_budget()

    def _look_at_times(self, times: MeanTimes) -> None:
        times.look([member.totals() for member in self.members], self._clock())

    def _tell_budget(self) -> None:
        """Requests are counted by one addition each and reach the budget when somebody asks, or at the next tick."""
        count, self.requests = self.requests, 0
        if count:
            self.budget.request(self._clock(), count)

    def may_retry(self) -> bool:
        """Takes one retry from the budget, if it has one."""
        self._tell_budget()
        if not self.budget.withdraw(self._clock()):
            return False
        self.cells.counters[C_RETRIES] += 1
        return True

    def take_over(self, old: LivePool) -> None:
        """From the pool that this one replaces: who waits there waits here, for those who may be asked now."""
        waiting, terms = old.waiting, self.waiting
        if waiting is not None:
            self.waiting = waiting if terms is not None else None
            waiting.follow(self, terms)

    def retire(self, successor: LivePool | None) -> None:
        """No request begins here any more; those that are under way end here. Nothing of it refers to itself from now on
        (unless somebody waits in it for good), so that its memory is free with the last of them."""
        self.probes.retire()
        for policy in self._policies.values():
            if isinstance(policy, Custom):
                policy.retire()
        if successor is not None:
            successor.take_over(self)
        elif self.waiting is not None and not len(self.waiting):
            self.waiting = None

    def close(self) -> None:
        self.probes.is_probing = False
        for member in self.members:
            member.close()


def _counting(counters: memoryview) -> Callable[[bool], None]:
    """Counts that a user's own policy did not pick: it failed just now, or has been given up."""

    def fell_back(is_failure: bool) -> None:
        counters[C_POLICY_FALLBACKS] += 1
        if is_failure:
            counters[C_POLICY_FAILURES] += 1

    return fell_back
