"""A generation that a worker could not take over, and when it tries again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 30.0
"""Composing a large configuration takes time from requests, so what stays wrong is rarely tried."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Of one generation: ``tries`` that failed, in a row. Generation 0: none."""

    generation: int = 0
    tries: int = 0
    retry_at: float = 0.0

    def once_more(self, generation: int, now: float) -> Missed:
        """After a failure. The wait doubles with each; for another generation it begins anew."""
        tries = self.tries + 1 if generation == self.generation else 1
        wait_s = min(FIRST_RETRY_S * 2 ** min(tries - 1, 16), LONGEST_RETRY_S)
        return Missed(generation, tries, now + wait_s)

    def is_to_wait(self, generation: int, now: float) -> bool:
        """Whether ``generation`` failed too recently to be tried again."""
        return generation == self.generation and now < self.retry_at
