"""Cookies of sticky sessions, as clients hold them. The rule is that of ``lb.proxy.sticky``: the session's backend while it
may be asked and was not tried yet, else as the policy says; the backend that answers is the session's from then on.
"""

from __future__ import annotations

from collections.abc import Callable

NONE = -1


class Sessions:
    """``share`` of the clients keep cookies, which ones is drawn when they first come."""

    def __init__(self, share: float, random: Callable[[], float]) -> None:
        self._share = share
        self._random = random
        self._keeps: dict[bytes, bool] = {}
        self._backends: dict[bytes, int] = {}

    def of(self, client: bytes) -> int:
        """The position of its session's backend; ``NONE``: it has no session yet, or never one."""
        if client not in self._keeps:
            self._keeps[client] = self._random() < self._share
        return self._backends.get(client, NONE)

    def answered(self, client: bytes, i: int) -> None:
        if self._keeps[client]:
            self._backends[client] = i
