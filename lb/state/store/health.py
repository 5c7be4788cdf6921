"""Verdicts of the machine that probes for all, in the store: one hash, written under a lease's fence, read by the others.

``+`` in it says whose word it is: ``TOKEN SEQUENCE MACHINE``. A machine that lost the lease without knowing changes nothing: its
token is an old one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lb.state.layout import DOWN, UP
from lb.state.store.keys import Keys
from lb.state.store.script import Script

LIFE_MS = 3_000
MOST_ENTRIES = 20_000
_WORDS = {UP: "up", DOWN: "down"}
_VERDICTS = {word: verdict for verdict, word in _WORDS.items()}
_MARK = re.compile(r"\d{1,15} \d{1,15} (\S{1,200})", re.ASCII)

_TELL = Script("""
-- KEYS fence, health, news.  ARGV token, mark, life ms, mark before or '': what follows is all of it, 1: something is new, name,
-- verdict, ...
-- Returns 0, and changes nothing, if somebody else has had the lease since, -1 if what is there is not what the changes are of.
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local kind = redis.call('TYPE', KEYS[2]).ok
if ARGV[4] == '' then redis.call('DEL', KEYS[2])
elseif kind ~= 'hash' or redis.call('HGET', KEYS[2], '+') ~= ARGV[4] then return -1 end
redis.call('HSET', KEYS[2], '+', ARGV[2])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
if ARGV[5] == '1' then redis.call('PUBLISH', KEYS[3], 'health ' .. ARGV[2]) end
return 1
""")
_HEAR = Script("""
-- KEYS health.  ARGV mark known, most entries.
-- Returns {} if nobody says anything, {mark} if it is the known one, else {mark, name, verdict, ...}.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {} end
local mark = redis.call('HGET', KEYS[1], '+')
if not mark or #mark > 300 or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[2]) then return {} end
local heard = {mark}
if mark == ARGV[1] then return heard end
local said = redis.call('HGETALL', KEYS[1])
for i = 1, #said, 2 do
  if #said[i] <= 500 and (said[i + 1] == 'up' or said[i + 1] == 'down') then
    heard[#heard + 1], heard[#heard + 2] = said[i], said[i + 1]
  end
end
return heard
""")


@dataclass(frozen=True, slots=True)
class Heard:
    """``verdicts`` None: as they were with this ``mark``."""

    mark: str
    machine: str
    verdicts: Mapping[str, int] | None


class Told(IntEnum):
    """What became of it."""

    CHANGES_OF_WHAT = -1
    """Nothing: the store has lost what was told before (or has, after a failover, what was told before that)."""
    NOT_OURS = 0
    """Nothing: the lease is another machine's."""
    TOLD = 1


def tell(
    client: Any, keys: Keys, fence: str, token: int, mark: str, verdicts: Mapping[str, int], *, since: str, news: bool
) -> Told:
    """``since``: the mark of what these are the changes of; empty: they are all, and nothing else is left there."""
    words: list[str | int] = [token, mark, LIFE_MS, since, int(news)]
    for name, verdict in verdicts.items():
        words += [name, _WORDS[verdict]]
    return Told(_TELL(client, [fence, keys.health, keys.news], words))


def hear(client: Any, keys: Keys, mark: str) -> Heard | None:
    """None: nobody says anything that we understand. What is no verdict is passed over."""
    said = [str(word) for word in _HEAR(client, [keys.health], [mark, MOST_ENTRIES])]
    whose = _MARK.fullmatch(said[0]) if said else None
    if whose is None:
        return None
    verdicts = {name: _VERDICTS[word] for name, word in zip(said[1::2], said[2::2], strict=True)}
    return Heard(said[0], whose[1], None if said[0] == mark else verdicts)
