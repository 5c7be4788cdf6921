"""Who may be picked, and which part of the requests each group gets: priority levels, then zones. Pure.

Worked out when membership or health changes; a pick costs one draw more, and only where there is more than one group.

Sources: Envoy, "Priority levels" and "Zone aware routing". A level (or the own zone) whose healthy part, times a factor
for what the healthy ones can bear beyond their share, is below 100 % gives what is missing to the next.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar
from zlib import crc32

from lb.model import Backend, ZoneOptions
from lb.policies.base import PickContext, Picker

Kind = TypeVar("Kind", int, str)


@dataclass(frozen=True, slots=True)
class Portion:
    """``share`` of all requests, above 0 and at most 1, is for the members at ``positions``, ascending."""

    share: float
    positions: tuple[int, ...]


def levels_of(members: Sequence[Backend]) -> tuple[int, ...]:
    """By member: its priority; backups are one behind all others."""
    last = 1 + max((one.priority for one in members if not one.backup), default=-1)
    return tuple(last if one.backup else one.priority for one in members)


def by_level(
    members: Sequence[Backend], ready: Sequence[int], healthy: Sequence[int], factor: float | None
) -> list[Portion]:
    """``ready``: whom no operator took out, ``healthy``: of those, who can serve. ``factor`` None: the first level with
    anybody healthy gets everything. Else each gets what it can bear, min(1, factor x healthy / ready), of what
    the ones before it left; if all together bear too little, in proportion to that."""
    levels = levels_of(members)
    found = _grouped(healthy, levels)
    if factor is None or len(found) < 2:
        first = min(found, default=None)
        return [] if first is None else [Portion(1.0, tuple(found[first]))]
    everybody = _grouped(ready, levels)
    bears = {
        level: min(1.0, factor * _capacity(members, found[level]) / _capacity(members, everybody[level]))
        for level in sorted(found)
    }
    return _filled(found, bears)


def by_zone(
    members: Sequence[Backend], ready: Sequence[int], portion: Portion, zone: str, options: ZoneOptions
) -> list[Portion]:
    """A portion of one level, split: the members in ``zone`` first. They get what they can bear, as a level does; the rest
    goes to all other zones by their healthy capacity. Undivided in a small pool, or where ``zone`` has nobody healthy."""
    positions = portion.positions
    near = tuple(i for i in positions if members[i].zone == zone)
    is_small = len(positions) < options.min_backends
    if not options.prefer or not zone or not near or len(near) == len(positions) or is_small:
        return [portion]
    levels = levels_of(members)
    level = levels[near[0]]
    all_near = [i for i in ready if members[i].zone == zone and levels[i] == level]
    bears = min(1.0, options.overprovisioning * _capacity(members, near) / _capacity(members, all_near))
    kept = Portion(portion.share * bears, near)
    if bears >= 1.0:
        return [kept]
    far = _grouped([i for i in positions if members[i].zone != zone], [one.zone for one in members])
    capacity = {name: _capacity(members, group) for name, group in far.items()}
    left, total = portion.share - kept.share, sum(capacity.values())
    return [kept, *(Portion(left * capacity[name] / total, tuple(group)) for name, group in far.items())]


def split(pickers: Sequence[tuple[float, Picker]], *, by_key: bool) -> Picker:
    """One draw, then the portion's own picker. ``by_key``: the same key always draws the same portion."""
    ends = list(accumulate(share for share, _ in pickers))
    inner, total = [picker for _, picker in pickers], ends[-1]
    last = len(inner) - 1

    def pick(ctx: PickContext) -> int:
        drawn = crc32(b"portion " + ctx.key) / 2**32 if by_key else ctx.random()
        return inner[min(bisect(ends, drawn * total), last)](ctx)

    return pick


def _filled(found: Mapping[int, Sequence[int]], bears: Mapping[int, float]) -> list[Portion]:
    total = min(1.0, sum(bears.values()))
    left, portions = 1.0, []
    for level, part in bears.items():
        share = min(left, part / total)
        if share > 1e-9:
            portions.append(Portion(share, tuple(found[level])))
        left -= share
    return portions


def _grouped(positions: Sequence[int], kind: Sequence[Kind]) -> dict[Kind, list[int]]:
    groups: dict[Kind, list[int]] = {}
    for i in positions:
        groups.setdefault(kind[i], []).append(i)
    return groups


def _capacity(members: Sequence[Backend], positions: Sequence[int]) -> float:
    """By weight; where nobody has one, heads count."""
    return float(sum(members[i].weight for i in positions) or len(positions) or 1)
