from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.model import Backend
from lb.policies import ip_hash
from lb.policies.base import Picker
from lb.policies.rendezvous import rendezvous
from tests.unit.policies.context import FakeContext, members_of, picker_of

CLIENTS = [f"10.{n >> 12}.{n >> 6 & 63}.{n & 63}".encode() for n in range(12_000)]


def owners(pick: Picker, clients: Sequence[bytes] = CLIENTS) -> list[int]:
    ctx = FakeContext()
    taken = []
    for ctx.key in clients:
        taken.append(pick(ctx))
    return taken


def moved(before: Sequence[int], after: Sequence[int]) -> list[tuple[int, int]]:
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


def test_the_same_client_the_same_backend_in_every_process() -> None:
    """The numbers are written down: no seed of the process, no order of a dict goes into them."""
    assert owners(picker_of("ip_hash", members_of([1, 1, 1])), CLIENTS[:12]) == [1, 2, 1, 1, 2, 1, 2, 0, 1, 1, 2, 1]


@pytest.mark.parametrize("weights", [[1] * 3, [1] * 100, [2, 3, 1, 3, 4, 2], [1, 50], [1_000_003, 499_979]])
@pytest.mark.parametrize("clients", [CLIENTS, [f"2001:db8::{n:x}".encode() for n in range(12_000)]], ids=["v4", "v6"])
def test_clients_are_shared_by_weight(weights: list[int], clients: list[bytes]) -> None:
    counts = Counter(owners(picker_of("ip_hash", members_of(weights)), clients))
    for i, weight in enumerate(weights):
        fair = len(clients) * weight / sum(weights)
        assert abs(counts[i] - fair) < 4.5 * fair**0.5 + 1, (i, counts[i], fair)


def test_one_that_goes_out_moves_its_own_clients_only_and_gets_them_back() -> None:
    members = members_of([1, 2, 1, 3])
    everybody = owners(picker_of("ip_hash", members))
    without = owners(picker_of("ip_hash", members, [0, 2, 3]))
    assert {old for old, _ in moved(everybody, without)} == {1}
    heirs = Counter(new for _, new in moved(everybody, without))
    assert heirs[3] == pytest.approx(3 * heirs[0], rel=0.25) and heirs[2] == pytest.approx(heirs[0], rel=0.25)
    assert owners(picker_of("ip_hash", members)) == everybody


@settings(max_examples=60, deadline=None)
@given(data=st.data(), weights=st.lists(st.integers(0, 9), min_size=3, max_size=60))
def test_whoever_goes_out_others_keep_their_clients(data: st.DataObject, weights: list[int]) -> None:
    members = members_of(weights)
    before = sorted(data.draw(st.sets(st.integers(0, len(weights) - 1), min_size=2)))
    gone = data.draw(st.sampled_from(before))
    if not any(weights[i] for i in before if i != gone):
        return  # weights of zero count only now
    after = [i for i in before if i != gone]
    pairs = moved(
        owners(picker_of("ip_hash", members, before), CLIENTS[:300]),
        owners(picker_of("ip_hash", members, after), CLIENTS[:300]),
    )
    assert all(old == gone for old, _ in pairs)


def test_stable_even_when_nearly_everybody_is_out() -> None:
    """2 of 3,000 left: the cells give up and everybody is asked; the two do not exchange clients."""
    members = members_of([1] * 3000)
    with patch.object(ip_hash, "rendezvous", wraps=rendezvous) as asked:
        three = owners(picker_of("ip_hash", members, [5, 700, 2100]), CLIENTS[:500])
        two = owners(picker_of("ip_hash", members, [5, 2100]), CLIENTS[:500])
    assert asked.call_count > 100
    assert {old for old, _ in moved(three, two)} == {700}
    assert 190 < two.count(5) < 310


def test_a_member_that_joins_takes_its_share_and_little_else_moves() -> None:
    ten, eleven = members_of([1] * 10), members_of([1] * 11)
    changed = moved(owners(picker_of("ip_hash", ten)), owners(picker_of("ip_hash", eleven)))
    assert len(changed) < 2.5 * len(CLIENTS) / 11


def test_the_order_of_the_members_matters_little() -> None:
    members = members_of([1] * 8)
    turned: tuple[Backend, ...] = tuple(reversed(members))
    by_id = [members[i].id for i in owners(picker_of("ip_hash", members))]
    by_id_turned = [turned[i].id for i in owners(picker_of("ip_hash", turned))]
    assert sum(a != b for a, b in zip(by_id, by_id_turned, strict=True)) < 0.35 * len(CLIENTS)
