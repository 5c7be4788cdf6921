"""How long to wait before starting again what died: at once, or longer and longer. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
YOUNG_S = 10.0
"""One that lived longer than this did not die of its start: it is started again at once."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """``young_deaths``: in a row; the first costs nothing, each further one doubles the wait."""

    young_deaths: int = 0

    def after_death(self, lived_s: float, *, was_serving: bool) -> Backoff:
        """The next state. Only one that had come to serve gets the free restart: a killed arbiter is no
        outage, and one that cannot start is no busy loop."""
        if lived_s >= YOUNG_S:
            return Backoff()
        return Backoff(max(self.young_deaths + 1, 1 if was_serving else 2))

    @property
    def delay_s(self) -> float:
        if self.young_deaths < 2:
            return 0.0
        return float(min(FIRST_DELAY_S * 2 ** min(self.young_deaths - 2, 16), LONGEST_DELAY_S))
