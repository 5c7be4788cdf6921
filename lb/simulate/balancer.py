"""A simulated balancer: a machine and its workers, around the real policies and the real retry rules.

``Machine`` is what the workers of one machine share (inflight counts, the round robin order, who is
eligible); ``Worker`` is what each has for itself, and the policies' ``PickContext``. The rules are those of
``lb.proxy.pool`` and ``lb.proxy.forward``, told to a virtual clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from lb.model import Pool
from lb.policies.base import Picker
from lb.policies.groups import Groups, Standing, everybody
from lb.policies.latency import PeakEwma
from lb.policies.mean_time import MeanTimes
from lb.policies.portions import Portion
from lb.policies.probe_pool import ProbePool
from lb.policies.table import MEAN_TIMES, deciding
from lb.resilience.budget import RetryBudget
from lb.resilience.outlier import ConsecutiveErrors
from lb.simulate.backend import Outcome
from lb.simulate.choice import Choice
from lb.simulate.load_reports import LoadReports

MAX_EJECTED_SHARE = 0.5
"""As in ``lb.proxy.pool``."""


class Clock(Protocol):
    @property
    def now(self) -> float: ...


class Machine:
    """``verdicts`` are the probes'; ``others`` is what the other machines had in flight when they last said so. ``away_s``: how
    much longer an answer of each backend takes to here; empty where none does."""

    def __init__(
        self,
        pool: Pool,
        verdicts: Sequence[bool],
        first_ticket: int,
        standing: Standing,
        region: str = "",
        away_s: Sequence[float] = (),
    ) -> None:
        count = len(verdicts)
        self.zone = standing.zone
        self.region = region
        self.away_s = away_s
        self.inflight = [0] * count
        self.others = [0] * count
        self.refused: set[int] = set()
        self._ejected_until: dict[int, float] = {}
        self._verdicts = verdicts
        self._first_ticket = first_ticket
        self._next_ticket: dict[str, int] = {}
        """By order: each region that is chosen in has its own."""
        self.clients: dict[bytes, int] = {}
        """Who was given whom."""
        self._limits = [backend.max_inflight for backend in pool.backends]
        self.has_limits = any(limit is not None for limit in self._limits)
        self._groups = Groups(pool, standing)
        self.healthy: tuple[int, ...] = ()
        self.portions: list[Portion] = []
        """Of the requests, by who may serve them. Another list whenever it changes."""
        self.eligible: tuple[int, ...] = ()
        """Positions in all of them."""
        self.refresh(0.0)

    def refresh(self, now: float) -> None:
        """Looks at verdicts, refusals and ejections again. As ``lb.proxy.eligible``: where only ejected ones are left, they are asked."""
        self._ejected_until = {i: until for i, until in self._ejected_until.items() if until > now}
        serving = [i for i, is_up in enumerate(self._verdicts) if is_up and i not in self.refused]
        self.healthy = tuple(i for i in serving if i not in self._ejected_until) or tuple(serving)
        portions = self._groups.portions(self.healthy)
        if portions != self.portions:
            self.portions, self.eligible = portions, everybody(portions)

    def refuse(self, i: int, now: float) -> None:
        """A connection was refused: nobody here asks it again before a probe has succeeded."""
        self.refused.add(i)
        self.refresh(now)

    def eject(self, i: int, now: float, seconds: float) -> bool:
        """Unless half of the pool is out that way already."""
        if len(self._ejected_until.keys() - {i}) + 1 > len(self._verdicts) * MAX_EJECTED_SHARE:
            return False
        self._ejected_until[i] = now + seconds
        self.refresh(now)
        return True

    def ticket(self, order: str) -> int:
        number = self._next_ticket.get(order, self._first_ticket)
        self._next_ticket[order] = number + 1
        return number

    def is_full(self, i: int) -> bool:
        limit = self._limits[i]
        return limit is not None and self.inflight[i] + self.others[i] >= limit

    def left(self, tried: Sequence[int]) -> tuple[int, ...]:
        """Positions that a pick could still take."""
        return tuple(i for i in self.eligible if i not in tried and not self.is_full(i))


class Worker:
    """Positions are those in the pool's backends."""

    def __init__(
        self,
        machine: Machine,
        pool: Pool,
        workers: int,
        clock: Clock,
        random: Callable[[], float],
        reports: LoadReports,
        start_probing: Callable[[], None],
        choice: Choice,
    ) -> None:
        self.machine = machine
        self.away_s = machine.away_s
        self.key = b""
        self.random = random
        self.probes = ProbePool(pool.prequal, lambda: clock.now, start_probing)
        self.budget = RetryBudget(pool.retry.budget_percent, pool.retry.budget_min_per_s / workers)
        self._choice = choice
        self._retry = pool.retry
        self._clock = clock
        self._reports = reports
        self._inflight = machine.inflight
        self._others = machine.others
        self._estimates = [PeakEwma() for _ in pool.backends]
        self.needs_times = deciding(pool.policy, pool) in MEAN_TIMES
        self._times = MeanTimes(len(pool.backends))
        self._attempts = [0] * len(pool.backends)
        self._failures = [0] * len(pool.backends)
        self._answered_us = [0] * len(pool.backends)
        self._errors: dict[int, ConsecutiveErrors] = {}
        """Only of backends that ever failed."""
        self._portions: list[Portion] = []
        self._pickers: dict[str, Picker] = {}
        """By region of clients, built over ``_portions``."""
        self._order = ""

    # --- PickContext, with ``key`` and ``random``

    def ticket(self) -> int:
        return self.machine.ticket(self._order)

    def load(self, i: int) -> int:
        return self._inflight[i] + self._others[i]

    def inflight(self) -> int:
        return sum(self._inflight) + sum(self._others)

    def latency(self, i: int) -> float:
        return self._estimates[i].value(self._clock.now)

    def response_time(self, i: int) -> float:
        return self._times.seconds[i]

    def score(self, i: int) -> float:
        return self._reports.score(i, self.load(i))

    def recall(self) -> int:
        return self.machine.clients.get(self.key, -1)

    def remember(self, i: int) -> None:
        self.machine.clients[self.key] = i

    # --- picking

    def pick(self, key: bytes, tried: Sequence[int], region: str = "") -> int | None:
        """Who takes the next attempt, claimed. None: nobody may be asked. ``region``: the client's."""
        machine = self.machine
        if machine.portions is not self._portions:
            self._portions = machine.portions
            self._pickers.clear()
        if not self._portions:
            return None
        self.key = key
        if region:
            self._order = self._choice.order(region)
        i = (self._pickers.get(region) or self._prepare(region))(self)
        if (tried and i in tried) or (machine.has_limits and machine.is_full(i)):
            left = machine.left(tried)
            if not left:
                return None
            i = self._choice.build(self._portions, left, region)(self)
        self._inflight[i] += 1
        return i

    def keep(self, i: int, tried: Sequence[int]) -> bool:
        """Claims ``i`` for a session of its, if it may be asked and has room; it need not be eligible."""
        machine = self.machine
        if i in tried or i not in machine.healthy or (machine.has_limits and machine.is_full(i)):
            return False
        self._inflight[i] += 1
        return True

    def _prepare(self, region: str) -> Picker:
        picker = self._pickers[region] = self._choice.build(self._portions, self.machine.eligible, region)
        return picker

    # --- what an attempt saw

    def observe(self, i: int, outcome: Outcome, took_s: float) -> float:
        """Returns for how long to eject the backend, mostly 0.0. As ``lb.proxy.member`` observes."""
        now = self._clock.now
        self._attempts[i] += 1
        if outcome is Outcome.ANSWERED:
            self._answered_us[i] += int(took_s * 1e6)
            self._estimates[i].observe(took_s, now)
            if self._errors and i in self._errors:
                self._errors[i].success()
            return 0.0
        self._failures[i] += 1
        self._estimates[i].observe_failure(took_s, now)
        if outcome is Outcome.REFUSED:
            return 0.0
        return self._errors.setdefault(i, ConsecutiveErrors()).failure(now)

    def look_at_times(self) -> None:
        """Once a second, as a worker's slow tick does."""
        totals = zip(self._attempts, self._failures, self._answered_us, strict=True)
        self._times.look(totals, self._clock.now)

    def may_retry(self, outcome: Outcome, attempts: int, tried: Sequence[int]) -> bool:
        """Whether what the backend may have worked on is sent to another one; takes it from the budget."""
        retry = self._retry
        if outcome.value not in retry.on or attempts >= retry.attempts or not self.machine.left(tried):
            return False
        return self.budget.withdraw(self._clock.now)
