"""What this machine shares with others through the store: its parts, each a loop of its own, and when they begin anew.

A part must do without the store: a round that raises StoreError is over, the next one comes in its time, and what a
part has written into the segment ends by itself or stays true. Parts never wait for each other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lb.config.store_url import parse
from lb.controller.periodic import Periodic
from lb.model import Snapshot, State
from lb.state.layout import STORE_DOWN, STORE_NONE, STORE_UP
from lb.state.segment import Segment
from lb.state.store.errors import StoreDown, StoreError
from lb.state.store.keys import Keys

if TYPE_CHECKING:
    from lb.state.store.link import Link
    from lb.state.store.news import News

_log = logging.getLogger("lb.store")


class Part(Protocol):
    """One thing that machines share. Made for one link; lives as long."""

    name: str
    interval_s: float
    """Between two rounds, while nobody wakes it."""
    news: str
    """The first word of the messages it wants to hear; empty: none."""

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        """Go on with these. Asks nobody; SegmentError if the segment lacks a column."""

    def round(self) -> None:
        """Tell the store what we have and hear what others have. Waits at most a few of the store's timeouts.
        StoreError: another time."""

    def hear(self, words: list[str]) -> bool:
        """A message for us; must not wait. Whether a round is due now."""

    def end(self) -> None:
        """The last thing: others need not wait until what we told has run out. StoreError is fine."""


@dataclass(slots=True)
class _Running:
    part: Part
    loop: Periodic
    problem: str = ""
    """What the store said to its last round, if that was for this part alone."""


class Sync:
    """One per controller. ``link`` is None while the configuration names no store."""

    def __init__(self, parts: Callable[[Link], Sequence[Part]]) -> None:
        self.link: Link | None = None
        self._parts = parts
        self._state: State | None = None
        self._news: News | None = None
        self._running: list[_Running] = []

    @property
    def standing(self) -> int:
        """One of ``lb.state.layout``'s STORE numbers."""
        if self.link is None:
            return STORE_NONE
        return STORE_UP if self.link.is_up else STORE_DOWN

    @property
    def reason(self) -> int:
        """Why the store is down, one of ``lb.state.standing``'s numbers."""
        return self.link.reason if self.link is not None else 0

    def part(self, name: str) -> Part | None:
        """The one of that name that runs; None while there is no store."""
        return next((one.part for one in self._running if one.part.name == name), None)

    def wake(self, name: str) -> None:
        """The part of that name has something to tell."""
        for one in self._running:
            if one.part.name == name:
                one.loop.wake()

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        """Follow a new snapshot or segment. May be called again after it failed half-way."""
        state = snapshot.config.state
        if state != self._state:
            self.stop()
            self._state = state
            if state.redis:
                self._begin(state)
        for running in self._running:
            running.part.apply(snapshot, segment)
            running.loop.start()

    def _begin(self, state: State) -> None:
        from lb.state.store.link import Link  # here: redis-py is loaded only where there is a store
        from lb.state.store.news import News

        self.link = link = Link(parse(state.redis), Keys(state.prefix), state.machine)
        self._running = [self._made(part) for part in self._parts(link)]
        handlers = {one.part.news: _handler(one) for one in self._running if one.part.news}
        self._news = News(link, handlers)
        link.on_up.extend(one.loop.wake for one in self._running)
        self._news.start()
        link.start()

    def _made(self, part: Part) -> _Running:
        running = _Running(part, Periodic(f"store {part.name}", lambda: _round(running)))
        return running

    def stop(self) -> None:
        """End all loops; the segment keeps what they wrote."""
        for running in self._running:
            running.loop.stop()
            _end(running.part)
        if self._news is not None:
            self._news.stop()
        if self.link is not None:
            self.link.stop()
        self.link = self._news = self._state = None
        self._running = []


def _round(running: _Running) -> float:
    part, problem = running.part, ""
    try:
        part.round()
    except StoreDown as error:
        _log.debug("part=%s %s", part.name, error)  # the link has said it, once
    except StoreError as error:
        problem = str(error)
    if problem and problem != running.problem:
        _log.warning("part=%s problem=%s", part.name, problem)
    running.problem = problem
    return part.interval_s


def _end(part: Part) -> None:
    try:
        part.end()
    except StoreError as error:
        _log.debug("part=%s %s", part.name, error)


def _handler(running: _Running) -> Callable[[list[str]], None]:
    def handle(words: list[str]) -> None:
        if running.part.hear(words):
            running.loop.wake()

    return handle
