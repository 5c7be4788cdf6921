"""The assignment's numbers, which are what they are."""

from __future__ import annotations

from collections import Counter

import pytest

from lb.model import ContractOptions, HashOptions
from lb.policies.contract_hash import contract_ring, number
from tests.unit.policies.context import FakeContext, members_of, picker_of

IDS = range(100_000, 1_000_000)


def shares(count: int, **options: object) -> list[float]:
    """Percent of all ids of six digits, by server."""
    contract = ContractOptions(**options)  # type: ignore[arg-type]
    pick = picker_of("contract_hash", members_of([1] * count), hash=HashOptions(contract=contract))
    period = 3 * contract.slots  # H depends on i modulo M only
    ctx, counts = FakeContext(), Counter[int]()
    for i in range(IDS[0], IDS[0] + period):
        ctx.key = b"%d" % i
        counts[pick(ctx)] += 1
    return [round(100 * counts[i] / period, 1) for i in range(count)]


def test_h_hits_87_of_512_slots() -> None:
    place = contract_ring(ContractOptions(), 3).place
    assert len({place(b"%d" % i) for i in range(IDS[0], IDS[0] + 512)}) == 87


@pytest.mark.parametrize("probing", ["linear", "quadratic"])
def test_one_of_three_gets_84_percent(probing: str) -> None:
    assert shares(3, probing=probing) == [84.4, 4.7, 10.9]
    assert shares(2, probing=probing) == [95.3, 4.7]


def test_a_real_hash_in_the_same_ring_does_better() -> None:
    """Better, not well: 512 slots are few."""
    assert max(shares(3, request_hash=(), server_hash=(), virtual_servers=100)) < 55


def test_virtual_servers_that_meet_find_free_slots() -> None:
    """Everybody's home is slot 5: probing places all of them, each once."""
    for probing in ("linear", "quadratic"):
        ring = contract_ring(
            ContractOptions(slots=16, virtual_servers=4, probing=probing, server_hash=(0, 0, 0, 0, 5)), 4
        )
        assert list(ring.points) == list(range(16)) and Counter(ring.owners) == {0: 4, 1: 4, 2: 4, 3: 4}
    homes = contract_ring(
        ContractOptions(slots=16, virtual_servers=3, probing="quadratic", server_hash=(0, 0, 0, 0, 5)), 1
    )
    assert list(homes.points) == [5, 6, 9]


def test_a_large_ring_is_filled_to_its_last_slot() -> None:
    """Each by a look or two: past all that are taken it would be seconds here, and minutes for 100,000."""
    ring = contract_ring(ContractOptions(slots=20_000, virtual_servers=100), 200)
    assert list(ring.points) == list(range(20_000)) and set(Counter(ring.owners).values()) == {100}


def test_clockwise_to_the_next_server_and_around() -> None:
    ring = contract_ring(
        ContractOptions(slots=16, virtual_servers=1, request_hash=(0, 1, 0), server_hash=(0, 4, 0, 0, 0)), 3
    )
    assert list(ring.points) == [4, 8, 12]
    assert [next(ring.candidates(b"%d" % key)) for key in (4, 5, 8, 12, 13, 16 + 3)] == [0, 1, 1, 2, 0, 0]


def test_more_servers_than_slots_is_no_error() -> None:
    """`lb check` refuses it; discovery could bring it about."""
    pick = picker_of("contract_hash", members_of([1] * 60))
    assert {pick(FakeContext()) for _ in range(3)} <= set(range(60))
    last = picker_of("contract_hash", members_of([1] * 60), [58, 59])
    assert last(FakeContext()) in (58, 59)


def test_what_a_key_is_as_a_number() -> None:
    assert number(b"483920") == 483_920
    assert number(b"192.0.2.1") == number(b"192.0.2.1") > 0
    assert number(b"9" * 5000) < 2**32
    assert number(b"") == 0
