"""What every table of ``consistent_hash`` promises: fair shares, and who moves when somebody goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lb.model import Backend, HashOptions, Pool, TableKind
from lb.policies import consistent_hash
from lb.policies.base import Picker
from lb.policies.tables import Table, Wanted, build_table, wanted
from tests.unit.policies.context import FakeContext, members_of, picker_of

TABLES: tuple[TableKind, ...] = ("ring", "maglev", "rendezvous")
KEYS = [f"10.{n >> 12}.{n >> 6 & 63}.{n & 63}".encode() for n in range(12_000)]


def picker(table: TableKind, members: Sequence[Backend], eligible: Sequence[int] | None = None) -> Picker:
    return picker_of("consistent_hash", members, eligible, HashOptions(table=table))


def owners(pick: Picker, members: Sequence[Backend], keys: Sequence[bytes] = KEYS) -> list[str]:
    """Ids, so that they can be compared over different sets of members."""
    ctx = FakeContext()
    taken = []
    for ctx.key in keys:
        taken.append(members[pick(ctx)].id)
    return taken


def moved(before: Sequence[str], after: Sequence[str]) -> list[tuple[str, str]]:
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


@pytest.mark.parametrize(
    ("table", "expected"),
    [("ring", "222202010021"), ("maglev", "112200220121"), ("rendezvous", "212212002122")],
)
def test_the_same_key_the_same_backend_in_every_process(table: TableKind, expected: str) -> None:
    """Written down: no seed of the process, no order of a dict goes into them."""
    members = members_of([1, 1, 1])
    assert "".join(id[1:] for id in owners(picker(table, members), members, KEYS[:12])) == expected


@pytest.mark.parametrize(("table", "spread"), [("ring", 0.3), ("maglev", 0.06), ("rendezvous", 0.08)])
@pytest.mark.parametrize("weights", [[1] * 3, [2, 3, 1, 3, 4, 2], [100, 200, 300], [1] * 12])
def test_keys_are_shared_by_weight(table: TableKind, spread: float, weights: list[int]) -> None:
    """``spread``: of the table and of 12,000 keys together."""
    members = members_of(weights)
    counts = Counter(owners(picker(table, members), members))
    for member in members:
        fair = len(KEYS) * member.weight / sum(weights)
        assert counts[member.id] == pytest.approx(fair, rel=spread + 2 / fair**0.5)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("count", [2, 5, 20, 100])
def test_a_backend_that_is_removed_moves_little(table: TableKind, count: int) -> None:
    """1.3 of n-th at most where only its own keys move, two n-ths where those of others move as well."""
    members = members_of([1] * count)
    before = owners(picker(table, members), members)
    for gone in (0, count // 2):
        left = members[:gone] + members[gone + 1 :]
        pairs = moved(before, owners(picker(table, left), left))
        assert len(pairs) <= len(KEYS) / count * (2.0 if table == "maglev" else 1.3)
        if table == "ring":
            assert {old for old, _ in pairs} == {members[gone].id}


@pytest.mark.parametrize("table", ["ring", "rendezvous"])
@pytest.mark.parametrize("name", ["b{}", "10.0.{}.1:80", "srv-{:04d}"])
def test_of_a_thousand_none_owns_more_than_1_3_of_its_part(table: TableKind, name: str) -> None:
    """What one that is removed owns is what moves."""
    members = tuple(Backend(id=name.format(i), host="127.0.0.1", port=1 + i) for i in range(1_000))
    candidates = build_table(wanted(table, HashOptions(table=table), members, are_alike=False)).candidates
    keys = 300_000
    counts = Counter(next(candidates(b"%d" % n)) for n in range(keys))
    assert counts.pop(len(members), 0) < 0.03 * keys, "nobody's: they go on to the next"
    part = keys / len(members)
    assert max(counts.values()) <= 1.3 * part + 4 * (1.3 * part) ** 0.5, "and what chance makes of so many keys"


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=25, deadline=None)
@given(data=st.data(), weights=st.sampled_from([[1, 1, 1], [0, 3, 1, 0, 9], [1 + i % 4 for i in range(40)]]))
def test_whoever_goes_out_others_keep_their_keys(table: TableKind, data: st.DataObject, weights: list[int]) -> None:
    members = members_of(weights)
    before = sorted(data.draw(st.sets(st.integers(0, len(weights) - 1), min_size=2)))
    gone = data.draw(st.sampled_from(before))
    after = [i for i in before if i != gone]
    if any(weights[i] for i in before) and not any(weights[i] for i in after):
        return  # weights of zero count only now
    keys = KEYS[:200]
    pairs = moved(
        owners(picker(table, members, before), members, keys), owners(picker(table, members, after), members, keys)
    )
    assert {old for old, _ in pairs} <= {members[gone].id}


@pytest.mark.parametrize("table", TABLES)
def test_what_one_that_is_out_leaves_is_spread_over_all_others(table: TableKind) -> None:
    members = members_of([1] * 6)
    everybody = owners(picker(table, members), members)
    pairs = moved(everybody, owners(picker(table, members, [0, 1, 2, 4, 5]), members))
    heirs = Counter(new for _, new in pairs)
    assert len(heirs) == 5 and max(heirs.values()) < 0.35 * len(pairs)
    assert owners(picker(table, members), members) == everybody


@pytest.mark.parametrize("table", TABLES)
def test_a_change_of_health_builds_nothing(table: TableKind) -> None:
    members = members_of([1] * 50)
    picker(table, members)
    asked: list[Wanted] = []

    def source(wanted: Wanted) -> Table:
        asked.append(wanted)
        return build_table(wanted)

    policy = consistent_hash.ConsistentHash(_pool(table, members), source=source)
    for out in range(10):
        policy.build(members, [i for i in range(50) if i != out])
    assert len(asked) == 1


def _pool(table: TableKind, members: Sequence[Backend]) -> Pool:
    return Pool(id="web", backends=tuple(members), hash=HashOptions(table=table))


@pytest.mark.parametrize("table", TABLES)
def test_the_order_of_the_members_makes_no_difference(table: TableKind) -> None:
    members = members_of([1, 2, 1, 3, 1])
    turned = tuple(reversed(members))
    assert owners(picker(table, members), members) == owners(picker(table, turned), turned)


@pytest.mark.parametrize("table", TABLES)
def test_stable_even_when_nearly_everybody_is_out(table: TableKind) -> None:
    members = members_of([1] * 3000)
    three = owners(picker(table, members, [5, 700, 2100]), members, KEYS[:300])
    two = owners(picker(table, members, [5, 2100]), members, KEYS[:300])
    assert {old for old, _ in moved(three, two)} == {"b700"}
    assert 100 < two.count("b5") < 200
