"""One round robin order for all machines: what its tickets are, when a machine may add its own, and why that stays even.

Workers take tickets from their machine's cursor and wait for nobody (``lb.state.tickets``). Which number a ticket has
does not matter, only its *phase*, the number modulo the cycle. The store has the next ticket ``G`` of the order. Each
machine has a *run*: its tickets from ``begin`` up to its cursor, which ``G`` does not count yet (they may be fewer
than none: a worker has given some back). A machine is *in phase* while ``begin = G``, modulo the cycle, and ::

    run        in phase                              not in phase
    nothing    rest                                  move: cursor and ``begin`` go on to the phase of G
    cycles     forget: ``begin`` goes to the cursor  move
    otherwise  push: G grows by the run              rest

so a machine that took a ticket at the same time as another one goes on alone until its run is whole cycles, or until
the others have come round to where it began. The push is a script (``order.lua``) that looks at G again, in the store.

Never uneven. Modulo whole cycles, all tickets that were ever taken are ``0 .. G`` and the runs: taking or giving back
moves a cursor, the end of its run; a push moves a run to the end of ``0 .. G``, where it has the phase for it; forget and
move leave out whole cycles. Any stretch of tickets gives two entries of the cycle counts that differ by at most one. Of a
machine's W workers the one that moved the cursor last either has no lease open, or one that ends there and only
makes the run shorter: the run and the other leases are W stretches. ``0 .. G`` ends where the run of the machine that
pushed last begins, and is one stretch with it. So max - min <= machines x workers at any time, however long; it is the
local bound, with its terms for workers that die and locks that are taken. A machine that is gone for good may leave its
part of the sum.

In order. A run is pushed at the first look after a ticket that nobody has followed, all who have nothing of their own
move when they hear of it, and the next ticket, wherever it is taken, is the next one. Between looks 10 to 20 ms apart
there is time for that in 50 ms.

Told once. A push whose answer is lost leaves the machine in doubt: it does nothing else until the store, which knows
the last run of each machine by its begin, has said whether it counted. ``version`` grows with every change of G.
Whoever knows a higher one than the store (flushed, or a replica that lagged) brings it back; what was pushed and then
lost by all of them is the one thing that can leave a difference, of one, once each time.

Machines that see other members for a moment (one is down here and not yet there) have other cycles, and so other keys
and other orders. Of equally many, but not the same, the shares stay even and only the places of some tickets are another's.

Pure but for ``tell``. Knows no segment and no pool's health.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import Enum
from importlib.resources import files
from typing import Any, NamedTuple

from lb.model import Pool
from lb.state.store.script import Script

SCRIPT = Script(files(__package__).joinpath("order.lua").read_text())
LIMIT = 10**14
"""Of a version or a ticket that is taken for one. Lua counts exactly up to 2 ** 53."""


class Known(NamedTuple):
    """The order in the store, as last heard. Version 0: nobody has begun it."""

    version: int = 0
    ticket: int = 0


class Step(Enum):
    REST = "rest"
    FORGET = "forget"
    MOVE = "move"
    PUSH = "push"


class Report(NamedTuple):
    """What a machine says of one order. ``begin`` and ``taken`` are its run; ``taken`` 0: it only asks, and says what it
    knows. ``life``: of the cursor, another one after the segment was made anew."""

    key: str
    life: int
    begin: int
    taken: int
    cycle: int
    known: Known


class Answer(NamedTuple):
    """``done``: tickets from the report's begin on that the order has now, by this report or an earlier one."""

    known: Known
    done: int


def step(begin: int, cursor: int, cycle: int, known: Known) -> Step:
    """What a machine that is not in doubt does now."""
    taken = cursor - begin
    is_in_phase = known.version == 0 or (known.ticket - begin) % cycle == 0
    if taken % cycle:
        return Step.PUSH if is_in_phase else Step.REST
    if not is_in_phase:
        return Step.MOVE
    return Step.FORGET if taken else Step.REST


def moved(cursor: int, cycle: int, known: Known) -> int:
    """The first number from the cursor on that has the phase of the order. Never back: the end of a lease would
    come up again, and its holder think that it is the last one."""
    return cursor + (known.ticket - cursor) % cycle


def digest(pool: Pool, policy: str, cycle: int, region: str = "") -> str:
    """Of all that makes a ticket mean the same on two machines: another cycle or another configuration, another order.
    ``region``: of the clients whose order it is, where regions have their own."""
    is_weighted = policy == "weighted_round_robin"
    members = [[one.id, one.place, one.state, one.backup, one.weight if is_weighted else 1] for one in pool.backends]
    where = [region, [one.region for one in pool.backends]] if region else []
    return hashlib.sha256(json.dumps([cycle, members, *where]).encode()).hexdigest()[:12]


def tell(client: Any, channel: str, machine: str, reports: Sequence[Report]) -> list[Answer]:
    """Atomic. Tells the other machines what has changed."""
    args: list[str | int] = [channel, machine]
    for one in reports:
        args += [f"{one.life}:{one.begin}", one.begin % one.cycle, one.taken, one.cycle, *one.known]
    numbers = iter([int(number) for number in SCRIPT(client, [one.key for one in reports], args)])
    return [Answer(Known(version, ticket), done) for version, ticket, done in zip(*[numbers] * 3, strict=True)]


def read_news(words: Sequence[str]) -> list[tuple[str, Known]]:
    """``KEY VERSION TICKET ...``. ValueError for anything else."""
    keys, versions, tickets = words[::3], words[1::3], words[2::3]
    return [(key, Known(_number(v), _number(t))) for key, v, t in zip(keys, versions, tickets, strict=True)]


def _number(text: str) -> int:
    if len(text) > 14 or not (text.isascii() and text.isdigit()):
        raise ValueError(text[:20])
    return int(text)
