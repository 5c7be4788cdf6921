"""The probers and pollers that are running, and how they follow a new snapshot or segment.

What did not change goes on undisturbed: its verdict, its streak of good or bad probes, its timing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import gevent

from lb.controller.board import Board
from lb.controller.cells import HealthCells, LoadCells
from lb.controller.plan import Plan, Poll, backend_column, plan
from lb.controller.poller import LoadPoller
from lb.controller.prober import Prober
from lb.health.probe import ProbeResult, ProbeTarget
from lb.model import Backend, Snapshot
from lb.state.segment import Segment


class Roster:
    """One per controller. ``apply`` may be called again after it failed half-way."""

    def __init__(self, board: Board | None = None) -> None:
        """``board``: where machines probe for each other, in pools that want it."""
        self._board = board or Board()
        self._board.on_heard = self._wake
        self._has_begun = False
        self._probers: dict[str, Prober] = {}
        self._pollers: dict[str, LoadPoller] = {}

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        """Run what the snapshot wants, on this segment. SegmentError if it lacks a column."""
        wanted = plan(snapshot)
        self._remove_outdated(wanted)
        for name, target in wanted.probes.items():
            self._probe(name, target, HealthCells(segment, backend_column(snapshot, name)))
        for name, poll in wanted.polls.items():
            self._poll(name, poll, LoadCells(segment, backend_column(snapshot, name)))
        self._board.keep([one.shared_name for one in self._probers.values() if _is_shared(one.target)])
        self._has_begun = True
        segment.bump_health()

    def stop(self) -> None:
        """End all loops and leave every cell as it is, for the next controller to go on from."""
        for prober in self._probers.values():
            prober.stop()
        for poller in self._pollers.values():
            poller.stop()
        self._probers.clear()
        self._pollers.clear()

    def trust(self, name: str, share: float) -> None:
        """Of the backend ``POOL/ID``, if it is probed."""
        if name in self._probers:
            self._probers[name].trust(share)

    def look_again(self) -> None:
        """Probe at once what workers could not connect to since its last probe; give more to what is warming up."""
        for prober in self._probers.values():
            prober.look_again()
            prober.warm_up()

    def wait_first_round(self) -> None:
        """Return when every backend has been probed at least once."""
        gevent.wait([prober.first_round for prober in self._probers.values()])

    def last_results(self) -> Mapping[str, ProbeResult | None]:
        """By backend's name; None before its first probe."""
        return {name: prober.last_result for name, prober in self._probers.items()}

    def _remove_outdated(self, wanted: Plan) -> None:
        """Before anything is started: a column may pass from a removed backend to a new one."""
        for name, prober in list(self._probers.items()):
            target = wanted.probes.get(name)
            if target == prober.target:
                continue
            if target is None or _moved(prober.target.backend, target.backend):
                prober.retire()
            else:
                prober.stop()
            del self._probers[name]
        for name, poller in list(self._pollers.items()):
            if _poll_of(poller) != wanted.polls.get(name):
                poller.retire()
                del self._pollers[name]

    def _probe(self, name: str, target: ProbeTarget, cells: HealthCells) -> None:
        if name in self._probers:
            self._probers[name].move_to(cells)
            return
        pool = name.partition("/")[0]
        prober = self._probers[name] = Prober(
            name,
            target,
            cells,
            lambda: self._nobody_is_up(pool),
            self._board if _is_shared(target) else None,
            joins=self._has_begun,
        )
        prober.start()

    def _wake(self, names: Collection[str]) -> None:
        wanted = set(names)
        for prober in self._probers.values():
            if prober.shared_name in wanted:
                prober.wake()

    def _nobody_is_up(self, pool: str) -> bool:
        return not any(prober.is_up for name, prober in self._probers.items() if name.partition("/")[0] == pool)

    def _poll(self, name: str, poll: Poll, cells: LoadCells) -> None:
        if name in self._pollers:
            self._pollers[name].move_to(cells)
            return
        poller = self._pollers[name] = LoadPoller(name, poll.target, poll.interval_s, cells)
        poller.start()


def _poll_of(poller: LoadPoller) -> Poll:
    return Poll(poller.target, poller.interval_s)


def _is_shared(target: ProbeTarget) -> bool:
    return target.health.scope == "cluster" and target.health.type != "none"


def _moved(before: Backend, after: Backend) -> bool:
    """Whether the id now names another process, about which an old verdict says nothing."""
    return before.place != after.place
