"""Tells the other machines that this one is there, and hears who they are."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lb
from lb.model import Snapshot
from lb.state.layout import H_MACHINES, H_NUMBER
from lb.state.segment import Segment
from lb.state.store.machines import ALIVE_S, FIELDS, Machine, described, differences, from_fields, to_fields
from lb.state.store.numbers import Number
from lb.state.store.script import Script

if TYPE_CHECKING:
    from lb.state.store.link import Link

_FORGET_MS = 60_000
_MOST_MACHINES = 1_000
_MOST_SAID = 20
_NAMESAKE_BEATS = 5
"""So often in a row: a controller that replaces another one meets it for a few seconds."""
_log = logging.getLogger("lb.store")

_BEAT = Script("""
-- KEYS machines, machine:ME.  ARGV me, alive ms, forget ms, life ms, most, process, field, value, ...
-- Returns how many keys were of another type (they are made anew), which process said last that it is this machine, and who is
-- alive.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local dropped = 0
for i, type in ipairs({'zset', 'hash'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= type and found ~= 'none' then dropped = dropped + 1 end
  if found ~= type then redis.call('DEL', KEYS[i]) end
end
local before = redis.call('HGET', KEYS[2], 'process') or ''
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'process', ARGV[6], unpack(ARGV, 7))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[3], '+inf') -- nobody's: whose it is says so again
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf', 'LIMIT', 0, ARGV[5])) do
  redis.call('ZADD', KEYS[1], now, name) -- our clock was put back
end
local alive = {dropped, #before <= 100 and before or ''}
for _, name in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', now - ARGV[2], 'LIMIT', 0, ARGV[5])) do
  if #name <= 200 then alive[#alive + 1] = name end
end
return alive
""")


class Presence:
    """A part of ``lb.controller.sync``. ``others``: alive as last heard, by name."""

    name = "presence"
    interval_s = 1.0
    news = ""

    def __init__(self, link: Link) -> None:
        self.others: dict[str, Machine] = {}
        self.problems: tuple[str, ...] = ()
        """What is wrong between the machines, as sentences."""
        self._link = link
        self._segment: Segment | None = None
        self._ours: Machine | None = None
        self._number = Number()
        self._process = f"{random.getrandbits(64):016x}"
        """Tells us from another one that goes by our name."""
        self._others_of_our_name = 0
        """Beats in a row that found its word."""

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        self._segment = segment
        if self._number.value < 0:
            self._number.value = segment.header[H_NUMBER] - 1
        self._ours = described(self._link.name, lb.__version__, snapshot.generation, snapshot.config)

    def round(self) -> None:
        ours, segment = self._ours, self._segment
        assert ours is not None and segment is not None
        dropped, process, *alive = self._link.call(lambda client: self._beat(client, ours))
        self._others_of_our_name += 1 if process not in ("", self._process) else -self._others_of_our_name
        if int(dropped):
            _log.warning("machines dropped=%d reason='keys of another type are made anew'", int(dropped))
        names = sorted(str(name) for name in alive if name != ours.name)
        said = self._link.call(lambda client: self._ask(client, names))
        found = {name: from_fields(name, fields) for name, fields in zip(names, said, strict=True)}
        self.others = {name: machine for name, machine in found.items() if machine is not None}
        segment.header[H_MACHINES] = 1 + len(names)
        self._link.call(lambda client: self._number.renew(client, self._link.keys.numbers, ours.name))
        segment.header[H_NUMBER] = 1 + self._number.value
        unread = [f"machine {name} says nothing that we understand" for name in names if name not in self.others]
        self._report((*self._namesakes(), *differences(ours, self.others), *unread[:_MOST_SAID]))

    def _namesakes(self) -> list[str]:
        if self._others_of_our_name < _NAMESAKE_BEATS:
            return []
        name = self._link.name
        return [
            f"another machine is called {name} too: what machines share is wrong until each has its own `state.machine`"
        ]

    def _beat(self, client: Any, ours: Machine) -> list[Any]:
        keys = self._link.keys
        fields: list[str | int] = [word for pair in to_fields(ours).items() for word in pair]
        args: list[str | int] = [
            ours.name,
            int(ALIVE_S * 1000),
            _FORGET_MS,
            5000,
            _MOST_MACHINES,
            self._process,
            *fields,
        ]
        return list(_BEAT(client, [keys.machines, keys.machine(ours.name)], args))

    def _ask(self, client: Any, names: list[str]) -> list[Sequence[str | None]]:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hmget(self._link.keys.machine(name), FIELDS)
        nothing = [None] * len(FIELDS)
        return [said if isinstance(said, list) else nothing for said in pipeline.execute(raise_on_error=False)]

    def _report(self, problems: tuple[str, ...]) -> None:
        """One line per change."""
        for problem in problems:
            if problem not in self.problems:
                _log.warning("machines=%d problem=%s", 1 + len(self.others), problem)
        if self.problems and not problems:
            _log.info("machines=%d all have the same pools", 1 + len(self.others))
        self.problems = problems

    def hear(self, words: list[str]) -> bool:
        return False

    def end(self) -> None:
        """The others divide by one machine less at once."""
        keys, name = self._link.keys, self._link.name
        if self._segment is not None:
            self._segment.header[H_MACHINES] = 0  # its number stays: the next controller goes on with it
        self.others, self.problems = {}, ()
        self._link.call(lambda client: client.zrem(keys.machines, name) + client.delete(keys.machine(name)))
