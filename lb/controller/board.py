"""What this machine and the one that probes for all know of backends' health: where probers and the store's part meet.

Pure state of one process; asks nobody. Names are the store's (``shared_name``), verdicts ``lb.state.layout``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256

from lb.controller.loads import load_name
from lb.health.probe import ProbeTarget
from lb.state.layout import UP
from lb.structs import replace

FRESH_S = 3.0
"""So long what was heard holds: longer than a lease, so that nobody begins to probe while it changes hands."""


class Board:
    """``on_told`` is called when our own probe found something new, ``on_heard`` (with names) when another machine did."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.verdicts: dict[str, int] = {}
        """In force here, by name: found by our own probe, or heard."""
        self.is_prober = False
        """Whether this machine probes for all."""
        self.on_told: Callable[[], None] = lambda: None
        self.on_heard: Callable[[Collection[str]], None] = lambda names: None
        self._clock = clock
        self._good_until: dict[str, float] = {}
        """By name, as ``verdicts``: what nobody has looked at for so long is told to nobody."""
        self._heard: Mapping[str, int] = {}
        self._fresh_until = float("-inf")

    def keep(self, names: Collection[str]) -> None:
        """Only these are shared from now on."""
        for name in self.verdicts.keys() - set(names):
            del self.verdicts[name], self._good_until[name]

    def tell(self, name: str, verdict: int, good_for_s: float = float("inf")) -> None:
        """Our own probe's word."""
        self._good_until[name] = self._clock() + good_for_s
        if self.verdicts.get(name) != verdict:
            self.verdicts[name] = verdict
            self.on_told()

    def vouched(self) -> dict[str, int]:
        """What is told to the others. A machine whose probes hang, or that finds no address, has nothing to say."""
        now = self._clock()
        return {name: verdict for name, verdict in self.verdicts.items() if self._good_until[name] > now}

    def heard(self, name: str, good_for_s: float = float("inf")) -> int | None:
        """What another machine says; None: nobody probes for us, or not this one. What it says is down our own prober looks
        at as well, and tells."""
        if self.is_prober or self._clock() > self._fresh_until:
            return None
        verdict = self._heard.get(name)
        if verdict == UP:
            self.verdicts[name] = verdict
            self._good_until[name] = self._clock() + good_for_s
        return verdict

    def hear(self, verdicts: Mapping[str, int], heard_at: float) -> None:
        """All that the machine which probes for all has told by ``heard_at``."""
        before, was_fresh = self._heard, self._clock() <= self._fresh_until
        self._heard, self._fresh_until = verdicts, heard_at + FRESH_S
        news = [name for name, verdict in verdicts.items() if not was_fresh or before.get(name) != verdict]
        if news:
            self.on_heard(news)

    def still(self, heard_at: float) -> None:
        """Nothing has changed since."""
        self._fresh_until = heard_at + FRESH_S

    def take(self) -> None:
        """This machine probes for all from now on: at once what it has only heard of so far."""
        self.is_prober, self._heard, self._fresh_until = True, {}, float("-inf")
        self.on_heard(list(self.verdicts))

    def leave(self) -> None:
        """Another one does, or nobody: until something is heard this machine probes for itself."""
        self.is_prober = False


def shared_name(target: ProbeTarget, pool: str) -> str:
    """``POOL/ID@PLACE#HOW``: machines that mean other processes, or probe them otherwise, do not believe each other. What the
    fields of a probe are is left out: it may be secret, and a digest of it would be a way to guess."""
    health = replace(target.health, headers=tuple((name, "") for name, _ in target.health.headers))
    how = repr((health, target.tls, target.backend.authority))
    return f"{load_name(pool, target.backend)}#{sha256(how.encode()).hexdigest()[:8]}"
