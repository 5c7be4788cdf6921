"""From probe results to a backend's verdict: hysteresis, a first word, and when to look again.

Pure: clock readings and randomness come in as arguments. One Checker per backend; it lives as long
as the backend keeps its address and probe settings, and can start from an earlier verdict.
"""

from __future__ import annotations

from collections.abc import Callable

from lb.model import Health
from lb.resilience.hysteresis import Hysteresis, Verdict
from lb.state.layout import DOWN, UNKNOWN, UP

FAST_INTERVAL_S = 0.5
"""How often we look at a backend that is out, if its own interval is longer: it should be back soon."""
JITTER = 0.1
"""Share of the interval by which probes are moved at random, so that those of many balancers do not
arrive together."""


VERDICT_NAMES = {UNKNOWN: "unknown", UP: "up", DOWN: "down"}


class Checker:
    """``verdict`` is what workers should act on; ``observe`` may change it.

    The first result of a backend decides alone, and one good probe takes in a backend that has
    never been up here: a start must not wait for ``rise``. From then on ``rise`` good ones or
    ``fall`` bad ones in a row are needed, and at most one change happens per interval; but while
    nobody of its pool is up, one that has recovered is not held back: nothing flaps then, it only ends.
    """

    def __init__(self, health: Health, verdict: int = UNKNOWN) -> None:
        self.verdict = verdict
        self._health = health
        self._is_new = verdict == UNKNOWN
        self._probes = self._hysteresis(verdict)
        self._changed_s = float("-inf")

    def __repr__(self) -> str:
        return f"<Checker {VERDICT_NAMES[self.verdict]} {self._probes!r}>"

    def observe(self, ok: bool, now_s: float, nobody_is_up: Callable[[], bool] = lambda: False) -> bool:
        """Take in one result. True if it changed the verdict. ``nobody_is_up``: in its pool; asked only where it matters."""
        self._probes.observe(ok)
        wanted = int(self._probes.verdict)
        if self._is_new and wanted == DOWN:
            self._probes = self._hysteresis(UNKNOWN)
        agrees = ok == (wanted == UP)  # not with a change that had to wait and is overtaken now
        if wanted == self.verdict or not agrees:
            return False
        if now_s - self._changed_s < self._hold_s() and not (ok and nobody_is_up()):
            return False
        self._is_new = self._is_new and not ok
        self.verdict, self._changed_s = wanted, now_s
        return True

    def adopt(self, verdict: int) -> None:
        """Another machine's, which looks for us: ours from here on."""
        self.verdict, self._probes = verdict, self._hysteresis(verdict)
        self._is_new = False

    def next_probe_s(self, random: float, *, is_out: bool) -> float:
        """Time from the start of one probe to the next. ``random`` is uniform in [0, 1); ``is_out``
        says that workers leave the backend out for whatever reason."""
        interval_s = self._health.interval_s
        if (is_out or self.verdict != UP) and self._health.type != "none":
            interval_s = min(interval_s, FAST_INTERVAL_S)
        return interval_s * (1 - JITTER + 2 * JITTER * random)

    def _hold_s(self) -> float:
        """How long a verdict stands at least; that of a backend that is only starting does not."""
        return 0.0 if self._is_new else self._health.interval_s * (1 - JITTER)

    def _hysteresis(self, verdict: int) -> Hysteresis:
        return Hysteresis(self._health.rise, self._health.fall, Verdict(verdict))
