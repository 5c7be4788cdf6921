"""A small number for each machine, counted from 0 with no gaps for long: where it stands on the circle of subsets.

Not its place in the order of names: there, one that goes would move everybody behind it. A number is its machine's while that is
heard of, and a minute longer, so a restart changes nothing. While one below the number of machines is free, whoever has one
beyond it takes it, after a while: of those that stay, one changes for one that went. Blocks as ``client`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from lb.state.store.script import Script

KEEP_MS = 60_000
MOVE_AFTER_S = 10.0
"""A store that lost everything hears from all machines within a second or two; until then there seem to be fewer."""
MOST = 1_000

_TAKE = Script("""
-- KEYS numbers.  ARGV me, the number I had or -1, whether I may leave it for a free one (1 or 0), keep ms, most.
-- Returns my number and how many machines have one. Atomic, as two must not take the same.
local found = redis.call('TYPE', KEYS[1]).ok
if found ~= 'none' and (found ~= 'hash' or redis.call('HLEN', KEYS[1]) > 2 * ARGV[5]) then redis.call('DEL', KEYS[1]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken, count, mine = {}, 1, tonumber(ARGV[2])
local said = redis.call('HGETALL', KEYS[1])
for i = 1, #said, 2 do
  local number, heard = nil, nil
  if #said[i + 1] < 30 then number, heard = string.match(said[i + 1], '^(%d+) (%d+)$') end
  number, heard = tonumber(number), tonumber(heard)
  if said[i] == ARGV[1] then
    mine = number or mine
  elseif not number or number >= 2 * ARGV[5] or math.abs(now - heard) > tonumber(ARGV[4]) or taken[number] then
    redis.call('HDEL', KEYS[1], said[i])
  else
    taken[number] = true
    count = count + 1
  end
end
local free = 0
while taken[free] do free = free + 1 end
if mine < 0 or mine >= 2 * ARGV[5] or taken[mine] or (mine >= count and ARGV[3] == '1') then mine = free end
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %.0f', mine, now))
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[4])
return {mine, count}
""")


class Number:
    """Of this machine. ``value`` is -1 until the store has said one; it outlives the store. ``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.value = -1
        self._clock = clock
        self._beyond_since: float | None = None
        """Since when there have been fewer machines than its value says."""

    def renew(self, client: Any, key: str, name: str) -> None:
        may_move = self._beyond_since is not None and self._clock() - self._beyond_since >= MOVE_AFTER_S
        value, count = _TAKE(client, [key], [name, self.value, int(may_move), KEEP_MS, MOST])
        self.value = int(value)
        if self.value < int(count):
            self._beyond_since = None
        elif self._beyond_since is None:
            self._beyond_since = self._clock()
