"""The rules of slices, as the store runs them: never more than the limit, fair, and nothing lost with an entry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.state.store import slices
from lb.state.store.slices import Grant, Renewal
from tests.support.redis_server import RedisServer, redis_server
from tests.support.slices import KEYS, SCRIPT, SlicesStore


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def store(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> SlicesStore:
    monkeypatch.setattr(slices, "SCRIPT", SCRIPT)
    return SlicesStore(server.client())


@pytest.fixture(scope="module")
def shared_store(server: RedisServer) -> Iterator[SlicesStore]:
    """For many examples of one test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SCRIPT", SCRIPT)
        yield SlicesStore(server.client())


def settled(store: SlicesStore, limit: int, wants: dict[str, int], rounds: int = 4) -> dict[str, int]:
    """What each holds after some renewals of all, each giving back what is above its target."""
    grants = {machine: Grant(0, limit, False) for machine in wants}
    for _ in range(rounds):
        for machine, wanted in wants.items():
            had = grants[machine]
            grant = store.renew(machine, limit, min(had.slice, had.target), wanted)
            assert grant is not None
            grants[machine] = grant
            assert sum(store.slices().values()) <= limit
    return {machine: grant.slice for machine, grant in grants.items()}


WANTS = st.lists(st.integers(0, 30), min_size=1, max_size=7)


@given(limit=st.integers(1, 40), wants=WANTS)
def test_max_min_fairness_and_nothing_left_over(shared_store: SlicesStore, limit: int, wants: list[int]) -> None:
    shared_store.client.delete(KEYS.limit("n"))
    asked = {f"m{i}": min(want, limit) for i, want in enumerate(wants)}
    got = settled(shared_store, limit, asked)
    assert sum(got.values()) == limit, "all of it is given to somebody"
    short = [machine for machine in got if got[machine] < asked[machine]]
    for machine in short:
        for other in got:
            assert got[other] <= got[machine] + 1, "nobody has more than who wants more"
    if not short:
        rest = [got[machine] - asked[machine] for machine in got]
        assert max(rest) - min(rest) <= 1


@given(
    limit=st.integers(1, 12),
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 15), st.integers(0, 3000)), max_size=40),
)
def test_never_more_than_the_limit(shared_store: SlicesStore, limit: int, steps: list[tuple[int, int, int]]) -> None:
    """Whoever renews when, as long as it holds only what was granted to it, and that no longer than it may."""
    shared_store.client.delete(KEYS.limit("n"))
    grants: dict[int, tuple[Grant, int]] = {}
    for machine, wanted, pause_ms in steps:
        shared_store.pass_ms(pause_ms)
        now_ms = shared_store.now_ms
        had, sent_ms = grants.get(machine, (Grant(0, 0, False), 0))
        is_held = now_ms - sent_ms < 1500
        held = min(had.slice, had.target) if is_held else 0
        grant = shared_store.renew(f"m{machine}", limit, held, wanted, now_ms - sent_ms if is_held else -1)
        assert grant is not None and grant.slice >= held
        grants[machine] = (grant, now_ms)
        in_force = [one.slice for one, at_ms in grants.values() if now_ms - at_ms < 1500]
        assert sum(in_force) <= limit


@pytest.mark.parametrize(("limit", "machines"), [(1, 2), (1, 5), (3, 2), (2, 7)])
def test_what_is_too_little_goes_round(store: SlicesStore, limit: int, machines: int) -> None:
    names = [f"m{i}" for i in range(machines)]
    grants = {name: Grant(0, 0, False) for name in names}
    had_ms = dict.fromkeys(names, 0)
    last_ms = dict.fromkeys(names, store.now_ms)
    longest_ms = 0
    for _ in range(400):
        store.pass_ms(50)
        for name in names:
            had = grants[name]
            grant = store.renew(name, limit, min(had.slice, had.target), 10)
            assert grant is not None
            grants[name] = grant
            if grant.slice > limit // machines:
                had_ms[name] += 50
                longest_ms = max(longest_ms, store.now_ms - last_ms[name])
                last_ms[name] = store.now_ms
        assert sum(store.slices().values()) <= limit
    assert longest_ms < 3500, "nobody goes without for long"
    assert min(had_ms.values()) > 0.7 * max(had_ms.values())


def test_turns_do_not_depend_on_when_a_long_request_ends(store: SlicesStore) -> None:
    """One whose request takes as long as a turn of all gives its place to the other when it is over."""
    store.renew("a", 1, 0, 1)
    for _ in range(5):
        store.renew("b", 1, 0, 1)
        store.pass_ms(900)
        store.renew("a", 1, 1, 1)
    store.pass_ms(100)
    grant = store.renew("a", 1, 1, 1)
    assert grant == Grant(1, 0, True)
    store.renew("a", 1, 0, 1)
    assert store.renew("b", 1, 0, 1) == Grant(1, 1, True)


def test_who_wants_nothing_has_no_turn(store: SlicesStore) -> None:
    assert store.renew("a", 1, 0, 0) == Grant(1, 1, False)
    assert store.renew("b", 1, 0, 1) == Grant(0, 1, False)
    assert store.renew("a", 1, 1, 0) == Grant(1, 0, True)
    assert store.renew("a", 1, 0, 0) == Grant(0, 0, True)
    assert store.renew("b", 1, 0, 1) == Grant(1, 1, False)


def test_a_machine_that_is_silent_for_two_seconds_has_nothing(store: SlicesStore) -> None:
    store.renew("a", 4, 0, 4)
    store.pass_ms(1999)
    assert store.renew("b", 4, 0, 4) == Grant(0, 2, False)
    store.pass_ms(2)
    assert store.renew("b", 4, 0, 4) == Grant(4, 4, False)
    assert store.renew("a", 4, 0, 4) == Grant(0, 2, False)


def test_what_is_in_flight_is_recorded_also_above_the_limit(store: SlicesStore) -> None:
    store.renew("b", 4, 0, 4)
    assert store.renew("a", 4, 3, 4) == Grant(3, 2, False)
    assert store.renew("b", 4, 1, 4) == Grant(1, 2, True)
    assert store.renew("a", 4, 1, 4) == Grant(2, 2, True)
    assert store.renew("b", 4, 1, 4) == Grant(2, 2, True)


def test_a_renewal_that_comes_after_a_later_one_is_ignored(store: SlicesStore) -> None:
    assert store.renew("a", 4, 0, 4, sequence=7) == Grant(4, 4, False)
    assert store.renew("a", 4, 1, 1, sequence=6) is None
    assert store.renew("a", 0, 0, 0, sequence=6) is None
    assert store.slices() == {"a": 4}
    store.pass_ms(2001)  # a machine of the same name, whose clock began anew
    assert store.renew("a", 4, 0, 4, sequence=6) == Grant(4, 4, False)


# --- a store that forgets


def test_an_empty_store_grants_nothing_for_two_seconds(store: SlicesStore) -> None:
    assert store.renew("a", 4, 0, 4) == Grant(4, 4, False)
    store.flush()
    assert store.renew("b", 4, 0, 4) == Grant(0, 4, False)
    store.pass_ms(1000)
    assert store.renew("a", 4, 3, 4, 1200) == Grant(3, 2, True), "what it proves to have held is its own"
    assert store.renew("b", 4, 0, 4) == Grant(0, 2, True)
    store.pass_ms(1990)
    assert store.renew("a", 4, 2, 4, 1990) == Grant(2, 2, True), "its own loss of memory was told to all"
    store.pass_ms(20)
    assert store.renew("b", 4, 0, 4) == Grant(2, 2, True)


def test_another_server_grants_nothing_for_two_seconds(store: SlicesStore) -> None:
    """A replica that became the master may lack the last grants."""
    store.renew("a", 4, 0, 1)
    store.is_now("bb")
    assert store.renew("b", 4, 0, 4) == Grant(0, 3, False)
    store.pass_ms(2000)
    assert store.renew("b", 4, 0, 4) == Grant(0, 3, False), "and what it has is not dropped early"
    store.pass_ms(1)
    assert store.renew("b", 4, 0, 4) == Grant(4, 4, False)


def test_a_server_that_does_not_say_who_it_is_works(store: SlicesStore) -> None:
    for run in ("-", "aa", "-"):
        store.is_now(run)
        assert store.renew("a", 4, 0, 4) == Grant(4, 4, False)


def test_a_lost_entry_or_key_is_noticed_by_who_held_it(store: SlicesStore) -> None:
    store.renew("a", 4, 0, 4)
    store.renew("b", 4, 0, 4)
    store.renew("a", 4, 2, 4)
    store.client.delete(KEYS.limit("n"))
    store.pass_ms(250)
    assert store.renew("a", 4, 2, 4, 250) == Grant(2, 4, False), "not what b may still hold"
    assert store.renew("b", 4, 2, 4, 250) == Grant(2, 2, True)


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 5_000])
def test_a_store_whose_clock_jumps_forgets_nobody_and_keeps_nobody_for_ever(store: SlicesStore, jump_ms: int) -> None:
    store.renew("a", 4, 0, 4)
    store.renew("b", 4, 0, 4)
    store.pass_ms(jump_ms + 250)
    assert store.renew("b", 4, 0, 4, 250) == Grant(0, 2, False)
    store.pass_ms(1990)
    assert store.renew("b", 4, 0, 4, 1990) == Grant(0, 2, False)
    store.pass_ms(2001)
    store.renew("b", 4, 0, 4)
    store.pass_ms(1)
    assert store.renew("b", 4, 0, 4, 1) == Grant(4, 4, False)


# --- hostile text

NONSENSE = (
    "",
    "x",
    "1 2 3",
    "1 2 3 0 5 6 7",
    "-1 2 3 0 5 6",
    "1.5 2 3 0 5 6",
    "1e9 2 3 0 5 6",
    "9" * 400,
    "0x1 1 1 1 1 1",
)


@pytest.mark.parametrize("text", NONSENSE)
@pytest.mark.parametrize("whose", ["a", "z"])
def test_an_entry_that_nobody_understands_is_dropped_and_counted(store: SlicesStore, text: str, whose: str) -> None:
    store.client.hset(KEYS.limit("n"), whose, text)
    answer = store.answer("a", 1, Renewal("n", 4, 1, 4, -1))
    assert answer.dropped == 1 and answer.grants == [Grant(1, 4, False)], "who knows what it held"
    assert store.slices() == {"a": 1}
    store.pass_ms(2000)
    assert store.renew("a", 4, 1, 4) == Grant(4, 4, False)


def test_a_key_of_another_type_is_replaced(store: SlicesStore) -> None:
    store.client.set(KEYS.limit("n"), "text")
    store.client.delete(KEYS.born)
    store.client.rpush(KEYS.born, "x")
    assert store.answer("a", 1, Renewal("n", 4, 1, 4, -1)).dropped == 1
    store.pass_ms(2000)
    assert store.renew("a", 4, 1, 4, 2000) == Grant(4, 4, False)


@given(
    st.lists(st.tuples(st.sampled_from("abz"), st.lists(st.integers(0, 10**16), min_size=6, max_size=6)), max_size=4)
)
def test_whatever_numbers_stand_there_they_end(shared_store: SlicesStore, entries: list[tuple[str, list[int]]]) -> None:
    shared_store.client.delete(KEYS.limit("n"))
    for machine, numbers in entries:
        shared_store.client.hset(KEYS.limit("n"), machine, " ".join(map(str, numbers)))
    for _ in range(3):
        shared_store.renew("a", 4, 0, 4)
        shared_store.pass_ms(2001)
    assert shared_store.renew("a", 4, 0, 4) == Grant(4, 4, False)


# --- who is told


def test_who_waits_is_heard_once_and_who_gives_back_too(store: SlicesStore) -> None:
    with store.client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(KEYS.news)
        listener.get_message(timeout=1)

        def heard() -> int:
            count = 0
            while (message := listener.get_message(timeout=0.02)) is not None:
                assert message["data"] == "limit n"
                count += 1
            return count

        store.renew("a", 1, 0, 0)
        assert heard() == 0
        store.renew("b", 1, 0, 1)
        assert heard() == 1
        store.renew("b", 1, 0, 1)
        store.renew("a", 1, 1, 0)
        assert heard() == 0
        store.renew("a", 1, 0, 0)
        assert heard() == 1
        store.renew("b", 1, 0, 1)
        store.renew("c", 1, 0, 1)
        assert heard() == 1
        store.renew("b", 0, 0, 0)
        assert heard() == 1 and store.slices() == {"a": 0, "c": 0}


def test_several_limits_in_one_call(store: SlicesStore) -> None:
    store.renew("b", 3, 0, 3, name="two")
    answer = store.answer("a", 9, Renewal("one", 5, 0, 1, -1), Renewal("two", 3, 0, 3, -1))
    assert answer.grants == [Grant(5, 5, False), Grant(0, 1, False)]
    assert 9_000 < store.client.pttl(KEYS.limit("one")) <= 10_000
