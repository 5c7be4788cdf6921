"""Who may change things: whoever has the token. Who may read: this machine, and whoever has the token.

The control socket takes the token, too: only our own user (0600) may open it, but workers pass requests for metrics on
to it, and what is not needed is not trusted.
"""

from __future__ import annotations

import hmac
import time
from collections import deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from lb.state.operator import Refused

MOST_WRONG = 10
WITHIN_S = 60.0
MAX_ADDRESSES = 10_000
SCHEME = "Bearer"


class Access:
    """Counts wrong tokens by address; ``clock`` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, deque[float]] = {}

    def check(self, authorization: str | None, token: str, address: str) -> None:
        """Refused (401, 429) unless ``authorization`` carries ``token``. The right one always passes."""
        if authorization is None:
            raise _unauthorized(
                "this takes the admin token: Authorization: Bearer TOKEN (state.dir/admin.token has it, unless listeners.admin.token is set)"
            )
        if is_right(authorization, token):
            return
        recent = self._recent(address)
        if len(recent) >= MOST_WRONG:
            raise Refused(429, "too_many_attempts", f"{MOST_WRONG} wrong tokens within a minute: wait")
        recent.append(self._clock())
        raise _unauthorized("wrong token")

    def _recent(self, address: str) -> deque[float]:
        """Of the last minute. The address heard of last is last; beyond a bound the first ones are forgotten."""
        recent = self._wrong.pop(address, None) or deque()
        oldest = self._clock() - WITHIN_S
        while recent and recent[0] <= oldest:
            recent.popleft()
        self._wrong[address] = recent
        if len(self._wrong) > MAX_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        return recent


def is_right(authorization: str, token: str) -> bool:
    """In a time that says nothing of where they differ. No token at all: nothing is right."""
    scheme, _, given = authorization.partition(" ")
    is_equal = hmac.compare_digest(given.strip().encode(errors="replace"), token.encode())
    return is_equal and bool(token) and scheme.lower() == SCHEME.lower()


def is_local(address: str) -> bool:
    """Of this machine; a peer on a unix socket has no address."""
    if not address:
        return True
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def _unauthorized(text: str) -> Refused:
    return Refused(401, "unauthorized", text)
