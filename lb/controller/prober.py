"""Keeps one backend's health cells in the segment true, by probing it for as long as it is configured.

The only writer of a backend's verdict. What a probe is and what a verdict needs is ``lb.health``'s.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from lb.controller.board import Board, shared_name
from lb.controller.cells import HealthCells
from lb.controller.periodic import Periodic
from lb.health.checker import VERDICT_NAMES, Checker
from lb.health.probe import ProbeResult, ProbeTarget, probe
from lb.resilience import slow_start
from lb.state.layout import DOWN, UNKNOWN, UP

_CONCURRENT_PROBES = 512
"""At most so many sockets for probes, however many backends there are: descriptors are finite."""
HEARD_S = 1.0
"""So often we look whether another machine still probes for us."""
GOOD_FOR_PROBES = 3
"""After so many probes that brought no result, and some seconds for the wait for a socket, what was found is told to nobody any more."""
WAIT_S = 5.0
_gate = BoundedSemaphore(_CONCURRENT_PROBES)
_log = logging.getLogger("lb.health")


class Prober:
    """One per backend. ``first_round`` is set once the backend has been probed at all. ``last_result``: None before the
    first probe, and while another machine's word is good enough."""

    def __init__(
        self,
        name: str,
        target: ProbeTarget,
        cells: HealthCells,
        nobody_is_up: Callable[[], bool] = lambda: False,
        board: Board | None = None,
        *,
        joins: bool = False,
    ) -> None:
        """``nobody_is_up``: in the backend's pool. ``board``: where machines probe for each other. ``joins``: others serve
        already, so it starts slowly even where it was never down."""
        self.name = name
        self.target = target
        self.first_round = Event()
        self.last_result: ProbeResult | None = None
        self.shared_name = shared_name(target, name.partition("/")[0])
        self._good_for_s = GOOD_FOR_PROBES * (target.health.interval_s + target.health.timeout_s) + WAIT_S
        self._nobody_is_up = nobody_is_up
        self._board = board
        self._joins = joins
        self._cells = cells
        self._checker = Checker(target.health, cells.verdict)
        self._probed_ns = 0
        self._up_since: float | None = None
        """While it gets less than its share because it has just come up."""
        self._warmth = self._trust = 1.0
        """What it may have of its share: as it has just come up, and as its requests ended."""
        self._loop = Periodic(f"probe {name}", self._step)

    def __repr__(self) -> str:
        return f"<Prober {self.name} {VERDICT_NAMES[self._checker.verdict]}>"

    @property
    def is_up(self) -> bool:
        return self._checker.verdict == UP

    def start(self) -> None:
        self._cells.forget_the_future(time.monotonic_ns())
        self._cells.share_milli = 0
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def retire(self) -> None:
        """Stop because the backend is gone: whoever gets its cells next starts without a verdict."""
        self.stop()
        self._cells.verdict = UNKNOWN
        self._cells.share_milli = 0

    def move_to(self, cells: HealthCells) -> None:
        """Go on in another segment, with the verdict we have."""
        cells.verdict = self._checker.verdict
        cells.share_milli = self._cells.share_milli
        self._cells = cells

    def warm_up(self) -> None:
        """From time to time: as much of its share as it can bear by now."""
        if self._up_since is None:
            return
        self._warmth = slow_start.share(time.monotonic() - self._up_since, self.target.slow_start_s)
        if self._warmth >= 1.0:
            self._up_since = None
        self._write_share()

    def trust(self, share: float) -> None:
        """It is to have that much of its share, by how its requests ended."""
        self._trust = share
        self._write_share()

    def _write_share(self) -> None:
        share = self._warmth * self._trust
        self._cells.share_milli = max(round(1000 * share), 1) if share < 1.0 else 0

    def _has_come_up(self) -> None:
        self._up_since = time.monotonic()
        self.warm_up()

    def look_again(self) -> None:
        """Probe now if a worker's connect was refused since the last probe began."""
        if self.target.health.type != "none" and self._cells.refused_ns > self._probed_ns:
            self._loop.wake()

    def wake(self) -> None:
        """Another machine has news of it, or does not probe it any more."""
        self._loop.wake()

    def _step(self) -> float:
        heard = self._board.heard(self.shared_name, self._good_for_s) if self._board is not None else None
        if heard == UP and not self._cells.is_refused:
            self._adopt()
            return HEARD_S
        is_said_down = heard == DOWN
        try:
            result = self._probe(is_said_down=is_said_down)
        finally:
            self.first_round.set()  # whatever happened: readiness must not wait for it for ever
        delay_s = self._checker.next_probe_s(random.random(), is_out=is_said_down or self._cells.is_refused)
        return max(0.0, delay_s - result.duration_s)

    def _probe(self, *, is_said_down: bool) -> ProbeResult:
        with _gate:
            started_ns = self._probed_ns = time.monotonic_ns()
            result = probe(self.target)
        self._record(result, started_ns, is_said_down=is_said_down)
        return result

    def _record(self, result: ProbeResult, started_ns: int, *, is_said_down: bool) -> None:
        """A good probe counts from when it began: a connect refused meanwhile is the newer fact. ``is_said_down``: by the
        machine that probes for all. One bad probe of ours is enough then; without one it may be that machine which is cut off."""
        cells, was_refused = self._cells, self._cells.is_refused
        if self.target.health.type != "none":
            cells.count(ok=result.ok)
        if result.ok:
            cells.probe_ok_ns = started_ns
        changed = self._tells(result) and self._observe(result.ok, is_said_down=is_said_down)
        if changed:
            self._publish(result.reason)
        elif was_refused and not cells.is_refused:
            self._has_come_up()
        if changed or was_refused != cells.is_refused:
            cells.announce()
        self.last_result = result
        if self._board is not None and self._checker.verdict != UNKNOWN and self._tells(result):
            self._board.tell(self.shared_name, self._checker.verdict, self._good_for_s)

    def _observe(self, ok: bool, *, is_said_down: bool) -> bool:
        """Whether it changed the verdict."""
        if is_said_down and not ok and self._checker.verdict != DOWN:
            self._checker.adopt(DOWN)
            return True
        return self._checker.observe(ok, time.monotonic(), self._nobody_is_up)

    def _adopt(self) -> None:
        """The machine that probes for all finds it up."""
        self.first_round.set()
        self.last_result = None
        if self._checker.verdict != UP:
            self._checker.adopt(UP)
            self._publish("another machine's probe")
            self._cells.announce()

    def _tells(self, result: ProbeResult) -> bool:
        """Something of the backend. One that is up without an address was found by a controller before this one, and
        by workers: a name server that is away is no reason to take their traffic away."""
        return result.has_address or self._checker.verdict != UP

    def _publish(self, reason: str) -> None:
        before, now = VERDICT_NAMES[self._cells.verdict], VERDICT_NAMES[self._checker.verdict]
        if self._cells.verdict != UNKNOWN:
            self._cells.count_transition()
        if self._checker.verdict == UP and (self._joins or self._cells.verdict != UNKNOWN):
            self._has_come_up()
        self._cells.verdict = self._checker.verdict
        level = logging.WARNING if self._cells.verdict == DOWN else logging.INFO
        _log.log(level, 'health backend=%s verdict=%s was=%s reason="%s"', self.name, now, before, reason)
