"""One policy in one scenario: the loop over arrivals, and the life of a request.

A request's rules are those of ``lb.proxy.forward``: a refused connection is tried on every other eligible
backend and costs nothing; anything later within ``retry.attempts`` and the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from lb.model import Pool
from lb.resilience.backoff import full_jitter_s
from lb.simulate.agenda import Agenda
from lb.simulate.arrivals import Arrival, arrivals
from lb.simulate.backend import Outcome
from lb.simulate.balancer import Worker
from lb.simulate.cluster import assemble, stream
from lb.simulate.loops import Intervals, plan_loops
from lb.simulate.places import regions_drawn
from lb.simulate.record import Record
from lb.simulate.scenario import Scenario
from lb.simulate.sessions import NONE, Sessions

CHUNK = 10_000
"""Requests between two words about the progress."""

Progress = Callable[[int], None]
"""Called with the number of requests that came since the last call."""

_ERRORS = {
    Outcome.UNAVAILABLE: "backend_503",
    Outcome.RESET: "backend_reset",
    Outcome.REFUSED: "connect_failed",
    Outcome.TIMEOUT: "backend_timeout",
    Outcome.TOTAL_TIMEOUT: "backend_timeout",
}
_ABOUT_THE_REQUEST = (Outcome.TOTAL_TIMEOUT,)
"""Says nothing about the backend that had it last, and is final."""


class Request:
    """One request on its way, on one backend at a time."""

    __slots__ = (
        "attempts",
        "backend",
        "began",
        "came",
        "came_as",
        "free_attempts",
        "key",
        "outcome",
        "region",
        "session",
        "tried",
        "worker",
    )

    def __init__(self, key: bytes, worker: Worker, came: float, region: str = "") -> None:
        self.key = key
        self.region = region
        """The client's; empty where nobody knows it."""
        self.session = NONE
        """The position of the backend that its cookie named when it came."""
        self.worker = worker
        self.came = self.began = came
        self.attempts = 0
        self.free_attempts = 0
        """Those that reached nobody."""
        self.tried: tuple[int, ...] = ()
        self.backend = -1
        self.came_as = 0
        """How many requests its backend had with it (``SelfReport``)."""
        self.outcome: Outcome | None = None
        """Of the attempt that is under way, known from its beginning; None before the first one."""


class Simulation:
    """Use once."""

    def __init__(self, scenario: Scenario, pool: Pool) -> None:
        self.record = Record()
        self.agenda = Agenda()
        self.cluster = assemble(scenario, pool, self.agenda)
        self._self_reports = self.cluster.self_reports
        self._scenario = scenario
        self._loops = Intervals(pool.adaptive.poll_interval_s, pool.health.interval_s, scenario.sync_s)
        self._first_byte_s = pool.timeouts.first_byte_s
        self._total_s = pool.timeouts.total_s
        self._has_arrivals = True
        self._retry, self._pause = pool.retry, stream(scenario, "retries").random
        regions, sticky = scenario.regions, scenario.clients.sticky
        self._regions = regions_drawn(regions, stream(scenario, "regions")) if regions else None
        self._sessions = Sessions(sticky, stream(scenario, "sessions").random) if sticky else None
        self._places = _Places(scenario) if regions or scenario.balancers.zones else None
        self._is_told_apart = self._places is not None or self._sessions is not None

    def run(self, progress: Progress = lambda came: None) -> Record:
        """To the end of the last request."""
        scenario = self._scenario
        plan_loops(self.agenda, self.cluster, self._loops, self._is_going)
        coming = arrivals(scenario, stream(scenario, "arrivals"), stream(scenario, "clients"))
        spread = stream(scenario, "spread").random
        while chunk := list(islice(coming, CHUNK)):
            self._take(chunk, spread)
            progress(len(chunk))
        self._has_arrivals = False
        self.agenda.run_out()
        return self.record

    def _is_going(self) -> bool:
        return self._has_arrivals or not self.record.is_complete

    def _take(self, chunk: list[Arrival], spread: Callable[[], float]) -> None:
        """Each goes to any worker, as the kernel spreads connections."""
        agenda, record, workers = self.agenda, self.record, self.cluster.workers
        regions, near, region = self._regions, self.cluster.by_region, ""
        for at, key in chunk:
            agenda.run_until(at)
            if regions is not None:
                region = regions.of(key)
                workers = near.get(region, self.cluster.workers)
            worker = workers[int(spread() * len(workers))]
            worker.budget.request(at)
            record.came += 1
            self._attempt(Request(key, worker, at, region))

    def _attempt(self, request: Request) -> None:
        if self._sessions is None:
            i = request.worker.pick(request.key, request.tried, request.region)
        else:
            i = self._pick_in_session(request, self._sessions)
        if i is None:
            self._fail(request)
            return
        now = request.began = self.agenda.now
        request.attempts += 1
        request.backend = i
        end, request.outcome = self.cluster.backends[i].take(now)
        away_s = request.worker.away_s
        if away_s:
            end += away_s[i]
        if self._self_reports:
            request.came_as = self._self_reports[i].begin()
        if end > now + self._first_byte_s:
            end, request.outcome = now + self._first_byte_s, Outcome.TIMEOUT
        if end > request.came + self._total_s:
            end, request.outcome = request.came + self._total_s, Outcome.TOTAL_TIMEOUT
        self.agenda.plan(end, self._finish, request)

    def _pick_in_session(self, request: Request, sessions: Sessions) -> int | None:
        """As ``lb.proxy.sticky`` claims."""
        if not request.attempts:
            request.session = sessions.of(request.key)
        if request.session != NONE and request.worker.keep(request.session, request.tried):
            return request.session
        return request.worker.pick(request.key, request.tried, request.region)

    def _finish(self, request: Request) -> None:
        worker, i, now = request.worker, request.backend, self.agenda.now
        worker.machine.inflight[i] -= 1
        took_s = now - request.began
        if self._self_reports:
            self._self_reports[i].end(request.came_as, took_s)
        outcome = request.outcome
        assert outcome is not None
        if outcome is Outcome.ANSWERED:
            worker.observe(i, outcome, took_s)
            backend = self.cluster.backends[i]
            backend.answers += 1
            backend.answered_s += took_s
            self.record.latencies_s.append(now - request.came)
            self.record.last_s = now
            if self._is_told_apart:
                self._note_place(request)
            return
        if outcome not in _ABOUT_THE_REQUEST:
            self._punish(worker, i, outcome, took_s)
        self._try_again(request, outcome)

    def _note_place(self, request: Request) -> None:
        """Where the answer came from, in scenarios where it matters."""
        record, i = self.record, request.backend
        if self._places is not None:
            record.in_region += self._places.is_in(request.region, i)
            record.in_zone += self._places.is_beside(request.worker.machine.zone, i)
        if self._sessions is not None:
            record.in_session += request.session != NONE
            record.kept += request.session == i
            self._sessions.answered(request.key, i)

    def _punish(self, worker: Worker, i: int, outcome: Outcome, took_s: float) -> None:
        now, machine = self.agenda.now, worker.machine
        ejection_s = worker.observe(i, outcome, took_s)
        if outcome is Outcome.REFUSED:
            machine.refuse(i, now)
        if ejection_s and machine.eject(i, now, ejection_s):
            self.agenda.plan(now + ejection_s, machine.refresh, now + ejection_s)

    def _try_again(self, request: Request, outcome: Outcome) -> None:
        request.tried += (request.backend,)
        if outcome is Outcome.REFUSED:
            request.free_attempts += 1
            self._attempt(request)
        elif request.worker.may_retry(outcome, request.attempts - request.free_attempts, request.tried):
            self.record.retries += 1
            self.agenda.plan(self.agenda.now + self._pause_s(request), self._attempt, request)
        else:
            self._fail(request)

    def _pause_s(self, request: Request) -> float:
        """As ``lb.proxy.forward`` waits."""
        retry, tries = self._retry, request.attempts - request.free_attempts
        pause_s = full_jitter_s(tries, base_s=retry.backoff_s, cap_s=retry.backoff_max_s, uniform=self._pause())
        return pause_s if self.agenda.now + pause_s < request.came + self._total_s else 0.0

    def _fail(self, request: Request) -> None:
        """With the reason of the last attempt, or for want of a backend."""
        reason = "no_backend" if request.outcome is None else _ERRORS[request.outcome]
        self.record.errors[reason] += 1
        self.record.last_s = self.agenda.now


class _Places:
    """What is near, by position."""

    def __init__(self, scenario: Scenario) -> None:
        self._regions = [backend.region for backend in scenario.backends]
        self._zones = [backend.zone for backend in scenario.backends]

    def is_in(self, region: str, i: int) -> bool:
        """A backend without a region is near everybody."""
        return self._regions[i] in ("", region)

    def is_beside(self, zone: str, i: int) -> bool:
        return self._zones[i] == zone
