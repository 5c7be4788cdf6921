"""What operators changed, in the store: one hash and its generation, changed, read and told again by a script each.

A key of another type or a generation that is no number counts as lost: it is made anew from what machines know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lb.state.operator import Entry, encode_entry
from lb.state.store.keys import Keys
from lb.state.store.script import Script

MOST_ENTRIES = 20_000
"""Of operators' changes that are read: each takes some microseconds of every controller."""
_COMMON = """
local function generation()
  if redis.call('TYPE', KEYS[2]).ok ~= 'string' then return 0 end
  local found = tonumber(redis.call('GET', KEYS[2]))
  if not found or found < 0 or found >= 2^53 or found ~= math.floor(found) then return 0 end
  return found
end
local function is_hash() return redis.call('TYPE', KEYS[1]).ok == 'hash' end
local function as_text(number) return string.format('%.0f', number) end
local function set(number)
  redis.call('SET', KEYS[2], as_text(number))
  redis.call('PUBLISH', KEYS[3], 'operator ' .. as_text(number))
end
"""
_CHANGE = Script(
    """
-- KEYS operator, operator:generation, news.  ARGV expected generation, POOL/BACKEND, entry.
-- Returns {1, new generation}, or {0, generation} if another one was expected: then nothing has changed.
-- Atomic, so that of two operators who saw the same one is told to look again.
"""
    + _COMMON
    + """
local now = generation()
if now ~= tonumber(ARGV[1]) or (redis.call('EXISTS', KEYS[1]) == 1 and not is_hash()) then return {0, now} end
local entry = string.gsub(ARGV[3], '^{"generation": %d+', '{"generation": ' .. as_text(now + 1), 1)
redis.call('HSET', KEYS[1], ARGV[2], entry)
set(now + 1)
return {1, now + 1}
"""
)
_READ = Script(
    """
-- KEYS operator, operator:generation, news.  ARGV known generation, entries known, most entries.
-- Returns {generation} if there is nothing that is not known, else {generation, {field, value, ...}}; an error above `most`.
"""
    + _COMMON
    + """
local now = generation()
if not is_hash() then
  if now == tonumber(ARGV[1]) and tonumber(ARGV[2]) == 0 then return {now} end
  return {now, {}}
end
local count = redis.call('HLEN', KEYS[1])
if now == tonumber(ARGV[1]) and count >= tonumber(ARGV[2]) then return {now} end
if count > tonumber(ARGV[3]) then
  return redis.error_reply(KEYS[1] .. ' has ' .. count .. ' entries, more than anybody made: take out what is not yours')
end
return {now, redis.call('HGETALL', KEYS[1])}
"""
)
_TELL = Script(
    """
-- KEYS operator, operator:generation, news.  ARGV our generation, then POOL/BACKEND, its generation, entry ...
-- Tells what the store has lost: entries that it does not have, has older or cannot be read, unless it is ahead of us.
-- Returns the generation it has then. Atomic, so that it never takes back what somebody changes meanwhile.
"""
    + _COMMON
    + """
local now, ours = generation(), tonumber(ARGV[1])
if now > ours then return now end
if redis.call('EXISTS', KEYS[1]) == 1 and not is_hash() then redis.call('DEL', KEYS[1]) end
if redis.call('TYPE', KEYS[2]).ok ~= 'string' then redis.call('DEL', KEYS[2]) end
local told = false
for i = 2, #ARGV, 3 do
  local present = redis.call('HGET', KEYS[1], ARGV[i])
  local is_read, entry = pcall(cjson.decode, present or '')
  local theirs = is_read and type(entry) == 'table' and tonumber(entry.generation) or -1
  if theirs < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    told = true
  end
end
if told or now < ours then set(ours) end
return ours
"""
)


@dataclass(frozen=True, slots=True)
class Said:
    """``entries``: as they stand there; None: nothing that we do not know."""

    generation: int
    entries: Mapping[str, str] | None = None


def change(client: Any, keys: Keys, expected: int, name: str, entry: Entry) -> tuple[bool, int]:
    """Whether it was made, and the generation there is now."""
    is_made, generation = _CHANGE(client, _keys(keys), [expected, name, encode_entry(entry)])
    return bool(is_made), int(generation)


def read(client: Any, keys: Keys, known: int, count: int) -> Said:
    """What the store says, if it is not the generation ``known`` with ``count`` entries or more."""
    generation, *rest = _READ(client, _keys(keys), [known, count, MOST_ENTRIES])
    if not rest:
        return Said(int(generation))
    words = [str(word) for word in rest[0]]
    return Said(int(generation), dict(zip(words[::2], words[1::2], strict=True)))


def tell(client: Any, keys: Keys, generation: int, entries: Mapping[str, Entry]) -> int:
    """Tell again what the store may have lost. The generation it has then: higher than ours if it is ahead."""
    words: list[str | int] = [generation]
    for name, entry in entries.items():
        words += [name, entry.generation, encode_entry(entry)]
    return int(_TELL(client, _keys(keys), words))


def _keys(keys: Keys) -> list[str]:
    return [keys.operator, keys.operator_generation, keys.news]
