"""What came of the requests of one run, as it is counted. What it means is ``lb.simulate.result``'s."""

from __future__ import annotations

from array import array
from collections import Counter


class Record:
    """``latencies_s``: of the answers, from the client's request to the end of the answer, retries included."""

    __slots__ = ("came", "errors", "in_region", "in_session", "in_zone", "kept", "last_s", "latencies_s", "retries")

    def __init__(self) -> None:
        self.came = 0
        self.latencies_s = array("d")
        self.errors: Counter[str] = Counter()
        """By the machine-readable reason that the balancer would give."""
        self.retries = 0
        """Attempts after the first one of a request, refused connections not counted."""
        self.in_region = 0
        """Answers by a backend of the client's region; counted only where regions or zones are known."""
        self.in_zone = 0
        """Answers by a backend of the balancer's zone; counted likewise."""
        self.in_session = 0
        """Answers to requests that came with the cookie of a session; counted only where some clients keep them."""
        self.kept = 0
        """Of those, answers by the session's backend."""
        self.last_s = 0.0
        """When the last request came to its end."""

    @property
    def is_complete(self) -> bool:
        """Whether every request that came has an answer or an error."""
        return self.came == len(self.latencies_s) + self.errors.total()
