"""What a worker has lately heard from some members of a pool, and whom it would rather ask. Pure: the clock is injected.

The probe pool of "Load is not what you should balance: Introducing Prequal" (Wydrowski, Kleinberg, Rumble, Archer,
NSDI 2024), sections 4.1 to 4.3. Sending probes is somebody else's: whoever does asks ``due`` how many and of whom,
and hands in what came of them (``add``, ``forget``). Nothing here waits, and a pick waits for no probe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf

from lb.model import PrequalOptions

ALIKE = 2.0
"""Latencies within that factor count as equal, and requests in flight decide, which are known to this instant. The paper
takes the lowest latency; that presupposes probes of the last milliseconds, three to a request."""

IDLE_S = 5.0
"""So long after the last request probing goes on, so that a quiet pool is not a blind one."""

LEAST_PER_S = 8.0
"""Probes while requests are rare: some are always fresh (``max_age`` 1 s, two are needed)."""

ENOUGH = 2
"""Fewer usable probes than that are no choice."""

DELTA = 1.0
"""Of the paper's reuse limit: how much faster probes come in than they are used up."""

HEARD = 128
"""Latest answers whose requests in flight say what is much (the quantile)."""

BURST_S = 0.1


class Probe:
    """What one member said. ``others``: its requests in flight that we did not know of; with those we know of, which are of
    this instant, it is what it has in flight now. (The paper adds what it has sent since; a load forgets what has ended, too.)
    """

    __slots__ = ("at", "latency_s", "member", "others", "uses_left")

    def __init__(self, member: int, others: float, latency_s: float, at: float, uses: float) -> None:
        self.member = member
        self.others = others
        self.latency_s = latency_s
        self.at = at
        self.uses_left = uses

    def __repr__(self) -> str:
        return f"Probe({self.member}, {self.others:+g}, {self.latency_s * 1000:.1f} ms, at {self.at:.3f})"


class Roster:
    """Who may be picked and probed. ``parts[i]``: what one request is to member ``i``, by its weight; 0.0: takes no part.

    A pool has one, or one for each region, zone or level that has requests of its own. ``queries``: since probes were last
    sent; ``asked_at``: when there were some; ``weight``: of about a second's,
    by which probes are divided."""

    __slots__ = ("asked_at", "count", "parts", "queries", "target", "weight")

    def __init__(self, parts: list[float], count: int, target: Callable[[Callable[[], float]], int]) -> None:
        self.parts = parts
        self.count = count
        self.target = target
        self.queries = 0
        self.asked_at = 0.0
        self.weight = 0.0


class ProbePool:
    """Of one pool on one worker. ``start`` is called when a request comes and nobody sends probes (any more)."""

    def __init__(self, options: PrequalOptions, clock: Callable[[], float], start: Callable[[], None]) -> None:
        self.probes: list[Probe] = []
        """Oldest first; one of a member."""
        self.rosters: list[Roster] = []
        """Those that were lately asked for."""
        self.is_probing = False
        self.failed: dict[int, int] = {}
        """By member: probes in a row that it did not answer."""
        self._load: Callable[[int], int] | None = None
        self._options = options
        self._clock = clock
        self._start = start
        self._heard: deque[float] = deque(maxlen=HEARD)
        self.hot_above = 0.0
        self._counted_at = self._asked_at = clock()
        self._thinned = 1.0
        """Share of the probes wanted that ``max_rate`` lets through."""
        self._credit = 0.0
        self._allowed = 1.0
        self._removals = 0.0
        self._removes_worst = True
        self._reuse_rest = 0.0

    def __repr__(self) -> str:
        return f"<ProbePool {self.probes} hot above {self.hot_above:g}>"

    # --- picking

    def choose(self, roster: Roster, load: Callable[[int], int]) -> int:
        """Who takes the next request; -1 if too little is known. ``load``: what we know to be in flight."""
        self._load = load
        if not roster.queries and roster not in self.rosters:
            roster.asked_at = self._clock()
            self.rosters.append(roster)
        roster.queries += 1
        if not self.is_probing:
            self.is_probing = True
            self._start()
        self._drop(self._clock() - self._options.max_age_s)
        best = self._best(roster.parts, load)
        if best is None:
            return -1
        best.uses_left -= 1.0
        if best.uses_left < 1.0:
            self.probes.remove(best)
        return best.member

    def _best(self, parts: list[float], load: Callable[[int], int]) -> Probe | None:
        """Of those that are not hot, the fewest requests among the fastest; if all are hot, the fewest requests."""
        usable = [
            (max(probe.others + load(probe.member), 0.0) * parts[probe.member], probe)
            for probe in self.probes
            if parts[probe.member]
        ]
        if len(usable) < ENOUGH:
            return None
        hot_above = self.hot_above
        fastest_s = inf
        for rif, probe in usable:
            if rif <= hot_above and probe.latency_s < fastest_s:
                fastest_s = probe.latency_s
        within_s = fastest_s * ALIKE
        best: Probe | None = None
        best_rif = inf
        for rif, probe in usable:
            if rif < best_rif and (probe.latency_s <= within_s):
                best, best_rif = probe, rif
        return best

    def retire(self) -> None:
        """Nobody is probed any more; whoever still asks chooses without."""
        self.is_probing = False
        self._start, self._load = _nobody, None

    def _part(self, member: int) -> float:
        """0.0: nobody could be sent there."""
        for roster in self.rosters:
            if roster.parts[member]:
                return roster.parts[member]
        return 0.0

    # --- what has to go

    def _drop(self, before: float) -> None:
        probes = self.probes
        while probes and probes[0].at < before:
            probes.pop(0)

    def _remove(self, load: Callable[[int], int]) -> None:
        """In turns the oldest one and the one that would be chosen last: what is only ever good news misleads."""
        self._removes_worst = not self._removes_worst
        if len(self.probes) <= ENOUGH:
            return
        if not self._removes_worst:
            self.probes.pop(0)
            return
        worst, worst_cost = self.probes[0], (-1.0, -1.0)
        for probe in self.probes:
            rif = max(probe.others + load(probe.member), 0.0)
            rif *= self._part(probe.member)
            cost = (rif, probe.latency_s) if rif > self.hot_above else (-1.0, probe.latency_s)
            if cost > worst_cost:
                worst, worst_cost = probe, cost
        self.probes.remove(worst)

    # --- probing

    def due(self, random: Callable[[], float]) -> list[int]:
        """Whom to probe now, drawn by weight; call it often. Empty and ``is_probing`` off: nobody asks any more."""
        now, options = self._clock(), self._options
        passed_s = max(now - self._counted_at, 0.0)
        self._counted_at = now
        queries = self._settle(now, passed_s)
        if queries:
            self._asked_at = now
        elif now - self._asked_at > IDLE_S:
            self.is_probing = False
        if not self.rosters or not self.is_probing:
            return []
        wanted = max(queries * options.per_request, passed_s * LEAST_PER_S)
        self._allowed = min(self._allowed + passed_s * options.max_per_s, max(options.max_per_s * BURST_S, 1.0))
        self._follow_rate(queries * options.per_request, passed_s)
        self._credit = min(self._credit + wanted, options.pool_size * len(self.rosters))
        count = int(min(self._credit, self._allowed))
        self._credit -= count
        self._allowed -= count
        return list(dict.fromkeys(self._drawn(random).target(random) for _ in range(count)))

    def _settle(self, now: float, passed_s: float) -> int:
        """How many requests there were. Rosters that nobody asks for any more, after a change of health too, are let go of
        with the last answers that were heard for them."""
        queries = 0
        for roster in self.rosters:
            roster.weight = roster.weight * max(1.0 - passed_s, 0.0) + roster.queries
            if roster.queries:
                queries += roster.queries
                roster.asked_at, roster.queries = now, 0
        if len(self.rosters) > 1:
            since = max(one.asked_at for one in self.rosters) - self._options.max_age_s
            self.rosters = [one for one in self.rosters if one.asked_at >= since]
        return queries

    def _drawn(self, random: Callable[[], float]) -> Roster:
        """By how many requests each had."""
        if len(self.rosters) == 1:
            return self.rosters[0]
        drawn = random() * sum(one.weight for one in self.rosters)
        for roster in self.rosters:
            drawn -= roster.weight
            if drawn < 0.0:
                return roster
        return self.rosters[0]

    def _follow_rate(self, wanted: float, passed_s: float) -> None:
        """Averaged over about a second."""
        allowed = self._options.max_per_s * passed_s
        share = min(allowed / wanted, 1.0) if wanted > 0.0 else 1.0
        self._thinned += (share - self._thinned) * min(passed_s, 1.0)

    def add(self, member: int, rif: float | None, latency_s: float, load: int) -> None:
        """``member`` answered: it says to be working on ``rif`` requests, or nothing of it; ``load`` is what we know."""
        part = self._part(member)
        if self._load is None or part == 0.0:
            return
        self.forget(member)
        self._removals += self._options.remove / self._options.per_request
        if self._removals >= 1.0:
            self._removals -= 1.0
            self._remove(self._load)
        members = sum(one.count for one in self.rosters)
        if len(self.probes) >= self.size(members):
            self.probes.pop(0)
        uses = self.reuse(members) + self._reuse_rest
        self._reuse_rest = uses % 1.0 if uses < 1e9 else 0.0
        said = load if rif is None else rif
        self.probes.append(Probe(member, said - load, latency_s, self._clock(), uses))
        self._heard.append(said * part)
        heard = sorted(self._heard)
        self.hot_above = heard[min(int(len(heard) * self._options.hot_quantile), len(heard) - 1)]

    def forget(self, member: int) -> None:
        """It did not answer, or says something new."""
        self.probes[:] = [probe for probe in self.probes if probe.member != member]

    def size(self, members: int) -> int:
        """Of the probe pool, m: everybody of a small pool, one answer each."""
        return min(self._options.pool_size * max(len(self.rosters), 1), members)

    def reuse(self, members: int) -> float:
        """b_reuse = max(1, (1 + delta) / ((1 - m/n) r_probe - r_remove)): how often one probe is used. In a very small
        pool that is any number; and where ``max_rate`` holds probes back, more often by as much."""
        options = self._options
        gained = (1.0 - self.size(members) / members) * options.per_request - options.remove
        if gained <= 0.0:
            return 1e9
        return max(1.0, (1.0 + DELTA) / (gained * max(self._thinned, 1e-6)))


def _nobody() -> None:
    """Sends no probes."""
