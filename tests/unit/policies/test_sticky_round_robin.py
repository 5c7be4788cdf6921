"""New clients take turns, known ones stay; with a sticky cookie the policy is asked about new ones only."""

from __future__ import annotations

from lb.model import Pool, Sticky
from lb.policies.base import Picker
from lb.policies.round_robin import RoundRobin
from lb.policies.table import create
from tests.unit.policies.context import FakeContext, members_of, picker_of

NAME = "sticky_round_robin"


def ask(pick: Picker, ctx: FakeContext, *clients: bytes) -> list[int]:
    found = []
    for client in clients:
        ctx.key = client
        found.append(pick(ctx))
    return found


def test_newcomers_take_turns_and_stay() -> None:
    pick, ctx = picker_of(NAME, members_of([1, 1, 1])), FakeContext()
    assert ask(pick, ctx, b"a", b"a", b"b", b"a", b"c", b"d", b"b") == [0, 0, 1, 0, 2, 0, 1]


def test_who_loses_its_backend_takes_a_new_turn_and_stays_there() -> None:
    members, ctx = members_of([1, 1, 1]), FakeContext()
    before, without = picker_of(NAME, members), picker_of(NAME, members, [0, 2])
    assert ask(before, ctx, b"a", b"b", b"c") == [0, 1, 2]
    moved = ask(without, ctx, b"b", b"a", b"c")
    assert moved[0] in (0, 2) and moved[1:] == [0, 2]
    assert ask(before, ctx, b"b", b"a", b"c") == moved


def test_a_pool_with_a_cookie_remembers_no_addresses() -> None:
    assert isinstance(create(NAME, Pool("web", (), sticky=Sticky("lb"))), RoundRobin)
