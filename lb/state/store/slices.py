"""The renewal of slices: what a machine says of limits that machines share, and what the store answers.

All rules of who gets what are in ``slices.lua``, which the store runs; here is only how it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from lb.state.store.keys import Keys
from lb.state.store.script import Script

SCRIPT = Script(files(__package__).joinpath("slices.lua").read_text())
_LATE = -1


@dataclass(frozen=True, slots=True)
class Renewal:
    """``held``: the most that this machine may have in flight whatever the answer is, already in force here.

    ``age_ms``: since it sent the last renewal that was answered; -1 when what was granted then holds no longer.
    ``limit`` 0 gives everything back. ``credit``: tokens of units given up, in billionths; ``fill_ms``: how long it
    takes until units that nobody uses have all their tokens, 0 where they have none.
    """

    name: str
    limit: int
    held: int
    wanted: int
    age_ms: int
    credit: int = 0
    fill_ms: int = 0


class Grant(NamedTuple):
    """``slice`` holds from the moment the renewal was *sent*; never less than what was held. ``target``: what it
    should be, once the others have given back or we have. ``credit``: tokens that come with what is new."""

    slice: int
    target: int
    others_starve: bool
    credit: int = 0


class Answer(NamedTuple):
    """``grants``: in the order of the renewals; None for one that the store had got a later one before.
    ``dropped``: entries that nobody understands."""

    grants: list[Grant | None]
    dropped: int


def renew(client: Any, keys: Keys, machine: str, sequence: int, renewals: Sequence[Renewal]) -> Answer:
    """Atomic per call. ``sequence`` grows from call to call of a machine, over restarts of its processes too."""
    named = [keys.born, *(keys.limit(one.name) for one in renewals)]
    args: list[str | int] = [machine, keys.news, sequence]
    for one in renewals:
        args += [one.name, one.limit, one.held, one.wanted, one.age_ms, one.credit, one.fill_ms]
    dropped, *numbers = (int(number) for number in SCRIPT(client, named, args))
    fours = zip(*[iter(numbers)] * 4, strict=True)
    return Answer(
        [None if had == _LATE else Grant(had, aim, bool(rest), new) for had, aim, rest, new in fours], dropped
    )
