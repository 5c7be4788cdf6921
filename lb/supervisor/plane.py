"""One plane: the gunicorn that serves it now, the one that is to take over, the ones that drain.

A state machine over pids and instants. It starts and signals processes only through what it was
given, and it tells what happened as events; the supervisor acts on them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from lb.supervisor import log
from lb.supervisor.addresses import Bind
from lb.supervisor.backoff import Backoff

HANDOVER_PATIENCE_S = 30.0
"""How long a second arbiter may take until it serves; then it is given up and the first goes on."""
QUIT_PATIENCE_S = 3.0
"""After SIGQUIT; then SIGKILL."""


class Event(Enum):
    SERVING = auto()
    """The current process serves for the first time in its life."""
    DIED = auto()
    """The current process is gone; it will be started again."""
    HANDED_OVER = auto()
    HANDOVER_FAILED = auto()


@dataclass(slots=True)
class Child:
    """One gunicorn arbiter. ``next_signal`` and its deadline: what it gets if it is still there then.
    ``has_to_reopen``: its logs, once it serves."""

    pid: int
    binds: tuple[Bind, ...]
    started_at: float
    is_serving: bool = False
    deadline: float = 0.0
    next_signal: signal.Signals = signal.SIGQUIT
    has_to_reopen: bool = False


@dataclass(frozen=True, slots=True)
class Actions:
    """What a plane may do to the world."""

    start: Callable[[tuple[Bind, ...]], int]
    """A new process on these sockets; its pid."""
    serving: Callable[[int], int]
    """How many workers of that process serve."""
    kill: Callable[[int, signal.Signals], None]


@dataclass(slots=True)
class Plane:
    """``binds``: what a restart gets. ``drain_s``: how long a drain may take before SIGQUIT."""

    name: str
    actions: Actions
    drain_s: float = 30.0
    handover_patience_s: float = HANDOVER_PATIENCE_S
    binds: tuple[Bind, ...] = ()
    current: Child | None = None
    candidate: Child | None = None
    candidate_workers: int = 1
    retiring: list[Child] = field(default_factory=list)
    start_at: float | None = None
    backoff: Backoff = field(default_factory=Backoff)

    def begin(self, binds: tuple[Bind, ...], now: float) -> None:
        """Start the first process, now and for good: whatever dies is started again until ``stop``."""
        self.binds = binds
        self.start_at = now
        self._start_if_due(now)

    def hand_over(self, binds: tuple[Bind, ...], workers: int, now: float) -> None:
        """Start a second process on ``binds``; once ``workers`` of it serve, the first is drained.
        One that was already being waited for makes way."""
        if self.candidate:
            self._retire(self.candidate, now)
        self.candidate = self._launch(binds, now)
        self.candidate.deadline = now + self.handover_patience_s
        self.candidate_workers = workers
        log.info("handover_started", plane=self.name, pid=self.candidate.pid)

    def stop(self, sig: signal.Signals, now: float) -> None:
        """End everything, gracefully (SIGTERM) or at once (SIGQUIT); nothing is started again."""
        self.start_at = None
        for child in (self.current, self.candidate):
            if child:
                self.retiring.append(child)
        self.current = self.candidate = None
        for child in self.retiring:
            self._signal(child, sig, now)

    def reopen_logs(self) -> None:
        """At the next tick, and not before it serves: until it has a handler for the signal, that would end it."""
        for child in (self.current, self.candidate):
            if child:
                child.has_to_reopen = True

    @property
    def is_empty(self) -> bool:
        return not self.pids()

    @property
    def wants_polling(self) -> bool:
        """Whether somebody is about to serve, which only looking can tell."""
        return self.candidate is not None or (self.current is not None and not self.current.is_serving)

    def pids(self) -> list[int]:
        return [child.pid for child in (self.current, self.candidate, *self.retiring) if child]

    def addresses(self) -> set[str]:
        """Of all sockets that a process of ours serves, or will."""
        binds = self.binds + (self.candidate.binds if self.candidate else ())
        return {bind.address for bind in binds}

    def on_exit(self, pid: int, how: str, now: float) -> list[Event]:
        """A child was reaped; ``how`` it ended, for the log. Nothing happens for a pid that is not ours."""
        if self.current and pid == self.current.pid:
            return [self._current_died(self.current, how, now)]
        if self.candidate and pid == self.candidate.pid:
            self.candidate = None
            log.error("handover_failed", plane=self.name, pid=pid, reason=how)
            return [Event.HANDOVER_FAILED]
        self.retiring = [child for child in self.retiring if child.pid != pid]
        return []

    def _current_died(self, child: Child, how: str, now: float) -> Event:
        lived_s = now - child.started_at
        self.backoff = self.backoff.after_death(lived_s, was_serving=child.is_serving)
        self.current = None
        self.start_at = now + self.backoff.delay_s
        log.error(
            "died", plane=self.name, pid=child.pid, how=how, lived_s=f"{lived_s:.1f}", restart_in_s=self.backoff.delay_s
        )
        return Event.DIED

    def tick(self, now: float) -> list[Event]:
        """Do what is due at ``now``."""
        self._start_if_due(now)
        for child in self.retiring:
            if now >= child.deadline:
                self._signal(child, child.next_signal, now)
        news = list(self._news(now))
        self._reopen_if_serving()
        return news

    def _reopen_if_serving(self) -> None:
        child = self.current
        if child and child.is_serving and child.has_to_reopen:
            child.has_to_reopen = False
            self.actions.kill(child.pid, signal.SIGUSR1)

    def _news(self, now: float) -> Iterator[Event]:
        current = self.current
        if current and not current.is_serving and self.actions.serving(current.pid):
            current.is_serving = True
            log.info("serving", plane=self.name, pid=current.pid, after_s=f"{now - current.started_at:.2f}")
            yield Event.SERVING
        if self.candidate and self.actions.serving(self.candidate.pid) >= self.candidate_workers:
            self._promote(self.candidate, now)
            yield Event.HANDED_OVER
        elif self.candidate and now >= self.candidate.deadline:
            self._give_up(self.candidate, now)
            yield Event.HANDOVER_FAILED

    def _promote(self, candidate: Child, now: float) -> None:
        log.info("handover_done", plane=self.name, pid=candidate.pid, after_s=f"{now - candidate.started_at:.2f}")
        if self.current:
            self._retire(self.current, now)
        candidate.is_serving = True
        self.current, self.candidate, self.binds = candidate, None, candidate.binds
        self.start_at, self.backoff = None, Backoff()

    def _give_up(self, candidate: Child, now: float) -> None:
        log.error(
            "handover_failed",
            plane=self.name,
            pid=candidate.pid,
            reason=f"not serving after {self.handover_patience_s:g} s",
        )
        self.candidate = None
        self.retiring.append(candidate)
        self._signal(candidate, signal.SIGQUIT, now)

    def _start_if_due(self, now: float) -> None:
        if self.start_at is not None and now >= self.start_at:
            self.start_at = None
            self.current = self._launch(self.binds, now)
            log.info("started", plane=self.name, pid=self.current.pid)

    def _launch(self, binds: tuple[Bind, ...], now: float) -> Child:
        return Child(self.actions.start(binds), binds, now)

    def _retire(self, child: Child, now: float) -> None:
        self.retiring.append(child)
        self._signal(child, signal.SIGTERM, now)

    def _signal(self, child: Child, sig: signal.Signals, now: float) -> None:
        """Send it, and plan the next harder one."""
        patience_s = self.drain_s if sig == signal.SIGTERM else QUIT_PATIENCE_S
        child.deadline = now + patience_s
        child.next_signal = signal.SIGQUIT if sig == signal.SIGTERM else signal.SIGKILL
        self.actions.kill(child.pid, sig)

    def next_deadline(self) -> float | None:
        """The next instant at which ``tick`` has something to do, looking aside."""
        due = [child.deadline for child in (*self.retiring, self.candidate) if child]
        return min(due + ([self.start_at] if self.start_at is not None else []), default=None)
