"""Who does something for all machines: one of them at a time, by a lease with a fencing token.

A lease runs out by the store's clock, so whoever is stopped or cut off for longer than it lasts has lost it without
knowing. Therefore each grant has a *token*, higher than all before it, and what is done under the lease checks it in the
same script as the write, or right before it (``is_current``): one that wakes late finds a higher token and changes nothing (Kleppmann, "How to do
distributed locking", 2016). A store that lost its keys counts on from the highest token that the next holder knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lb.state.store.link import Link
from lb.state.store.script import Script

TTL_S = 2.0
"""A holder renews at a third of it, so that two renewals may be lost."""
MARGIN_S = 0.5
"""Given up so much earlier here than in the store: it counts from before the question was sent, but may be scheduled late."""

_TAKE = Script("""
-- KEYS lease, fence.  ARGV me, ttl ms, highest token known.  Returns our token, or 0 while somebody else holds it.
local function text(key) -- what is of another type, or no number, counts as lost
  if redis.call('TYPE', key).ok ~= 'string' then return '' end
  return redis.call('GET', key)
end
local owner, token = string.match(text(KEYS[1]), '^(%S+) (%d+)$')
local found = text(KEYS[2])
local fence = #found < 16 and tonumber(string.match(found, '^%d+$')) or 0
if token and #token > 15 then owner = nil end
if owner and owner ~= ARGV[1] then return 0 end
if owner and tonumber(token) == fence then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(token)
end
local new = math.max(fence, tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', new))
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. string.format('%.0f', new), 'PX', ARGV[2])
return new
""")
_GIVE_UP = Script("""
-- KEYS lease.  ARGV `me token`.
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
""")
_CHECK = Script("""
-- KEYS fence.  ARGV token.
return redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
""")


class Lease:
    """This machine's part in the election for ``name``. Asks when it is told to (``renew``), never by itself."""

    def __init__(self, link: Link, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.token = 0
        """Of our last grant."""
        self._link = link
        self._clock = clock
        self._until = float("-inf")

    def __repr__(self) -> str:
        return f"<Lease {self.name} token={self.token} {'held' if self.is_held else 'not held'}>"

    @property
    def is_held(self) -> bool:
        """Whether we may begin something now. What is written must still be fenced by ``token``."""
        return self._clock() < self._until

    def renew(self) -> bool:
        """Take the lease or keep it; whether it is ours. StoreError: nothing is known, what we had runs out."""
        asked_at = self._clock()
        keys = [self._link.keys.lease(self.name), self._link.keys.fence(self.name)]
        args: list[str | int] = [self._link.name, round(TTL_S * 1000), self.token]
        token = int(self._link.call(lambda client: _TAKE(client, keys, args)))
        if not token:
            self._until = float("-inf")
            return False
        self.token, self._until = token, asked_at + TTL_S - MARGIN_S
        return True

    def is_current(self) -> bool:
        """Whether nobody has had the lease since our grant, as the store knows it now. StoreError."""
        key = self._link.keys.fence(self.name)
        return bool(self._link.call(lambda client: _CHECK(client, [key], [str(self.token)])))

    def give_up(self) -> None:
        """Somebody else may take it at once. StoreError: it runs out."""
        self._until = float("-inf")
        key = self._link.keys.lease(self.name)
        self._link.call(lambda client: _GIVE_UP(client, [key], [f"{self._link.name} {self.token}"]))
