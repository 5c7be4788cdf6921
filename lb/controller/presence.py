"""Tells the other machines that this one is there, and hears who they are."""

from __future__ import annotations

import logging
from typing import Any

import lb
from lb.model import Snapshot
from lb.state.layout import H_MACHINES, H_NUMBER
from lb.state.segment import Segment
from lb.state.store.link import Link
from lb.state.store.machines import ALIVE_S, Machine, described, differences, from_fields, to_fields
from lb.state.store.script import Script

_FORGET_MS = 60_000
_log = logging.getLogger("lb.store")

_BEAT = Script("""
-- KEYS machines, machine:ME.  ARGV me, alive ms, forget ms, life ms, field, value, ...  Returns who is alive.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[2], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[3])
return redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[2], '+inf')
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

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        self._segment = segment
        self._ours = described(self._link.name, lb.__version__, snapshot.generation, snapshot.config)

    def round(self) -> None:
        ours, segment = self._ours, self._segment
        assert ours is not None and segment is not None
        alive = self._link.call(lambda client: self._beat(client, ours))
        names = [name for name in alive if name != ours.name]
        said = self._link.call(lambda client: self._ask(client, names))
        found = {name: from_fields(name, fields) for name, fields in zip(names, said, strict=True)}
        self.others = {name: machine for name, machine in found.items() if machine is not None}
        segment.header[H_MACHINES] = 1 + len(names)
        segment.header[H_NUMBER] = 1 + sum(1 for name in names if name < ours.name)
        self._report(differences(ours, self.others))

    def _beat(self, client: Any, ours: Machine) -> list[str]:
        keys = self._link.keys
        fields: list[str | int] = [word for pair in to_fields(ours).items() for word in pair]
        args: list[str | int] = [ours.name, int(ALIVE_S * 1000), _FORGET_MS, 5000, *fields]
        return [str(name) for name in _BEAT(client, [keys.machines, keys.machine(ours.name)], args)]

    def _ask(self, client: Any, names: list[str]) -> list[dict[str, str]]:
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(self._link.keys.machine(name))
        return [answer if isinstance(answer, dict) else {} for answer in pipeline.execute(raise_on_error=False)]

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
            self._segment.header[H_MACHINES] = self._segment.header[H_NUMBER] = 0
        self.others, self.problems = {}, ()
        self._link.call(lambda client: client.zrem(keys.machines, name) + client.delete(keys.machine(name)))
