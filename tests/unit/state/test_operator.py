"""What operators changed, laid over configurations; who wins, what is refused, what cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.model import Backend, Config, Listener, Pool, Route, State
from lb.state.operator import (
    Change,
    Entry,
    Overlay,
    Refused,
    adopt,
    apply,
    decide,
    decode,
    decode_entries,
    decode_entry,
    encode,
    encode_entry,
    lost,
    with_own,
)
from lb.structs import replace

IDS = ("a", "b", "c")


def backend(id: str, port: int = 1) -> Backend:
    return Backend(id, host="127.0.0.1", port=port)


def config(*ids: str, pools: tuple[str, ...] = ("web",)) -> Config:
    made = tuple(Pool(pool, tuple(backend(id) for id in ids or IDS)) for pool in pools)
    listeners = (Listener("traffic", "traffic", ("127.0.0.1:5000",)),)
    return Config("lb.yaml", listeners, made, (Route("all", "pool", pool="web"),), State("/state"))


entries = st.builds(
    Entry,
    state=st.sampled_from([None, "ready", "drain", "disabled"]),
    weight=st.none() | st.integers(1, 256),
    added=st.none() | st.builds(backend, st.sampled_from([*IDS, "new"]), st.sampled_from([1, 2, 5000])),
    is_removed=st.booleans(),
    by=st.sampled_from(["", "m1"]),
    generation=st.integers(0, 9),
)
names = st.sampled_from([f"{pool}/{id}" for pool in ("web", "api") for id in (*IDS, "new", "x/y")])
layers = st.dictionaries(names, entries, max_size=6).map(
    lambda layer: {
        name: replace(entry, added=entry.added and replace(entry.added, id=name.partition("/")[2]))
        for name, entry in layer.items()
    }
)
overlays = st.builds(
    Overlay, st.integers(0, 9), st.sampled_from(["", "s"]), layers, layers, st.sampled_from([(), ("web/q",)])
)


@given(overlays)
def test_what_is_written_is_read(overlay: Overlay) -> None:
    assert decode(encode(overlay)) == overlay


@given(overlays)
def test_laid_over_it_is_a_configuration_still(overlay: Overlay) -> None:
    before = config(pools=("web", "api"))
    after, problems = apply(before, overlay)
    assert replace(after, pools=()) == replace(before, pools=())
    for pool in after.pools:
        ids = [one.id for one in pool.backends]
        assert ids and len(set(ids)) == len(ids)
        assert all(one.port != 5000 for one in pool.backends), "our own listener"
    for name, entry in overlay.effective().items():
        self_made = [one for pool in after.pools for one in pool.backends if f"{pool.id}/{one.id}" == name]
        told = [text for text in problems if name in text or f"pool {name.partition('/')[0]}:" in text]
        if entry.is_removed:
            assert not self_made or told
        elif not entry.is_plain:
            assert told or (self_made and self_made[0].state == (entry.state or "ready"))


@given(overlays)
def test_twice_is_once_for_what_is_there(overlay: Overlay) -> None:
    once, _ = apply(config(), overlay)
    twice, _ = apply(once, overlay)
    assert {one.id for one in twice.pools[0].backends} == {one.id for one in once.pools[0].backends}


@given(layers, st.randoms())
def test_all_machines_have_the_same_order(layer: dict[str, Entry], random: Any) -> None:
    shuffled = list(layer.items())
    random.shuffle(shuffled)
    assert apply(config(), Overlay(cluster=layer)) == apply(config(), Overlay(cluster=dict(shuffled)))


@given(overlays, layers, st.integers(0, 12))
def test_adopting_forgets_nothing_and_never_goes_back(
    overlay: Overlay, said: dict[str, Entry], generation: int
) -> None:
    overlay = replace(overlay, store="s")
    after = adopt(overlay, "s", generation, said)
    assert after.generation == max(overlay.generation, generation)
    assert set(after.cluster) >= set(overlay.cluster)
    if generation < overlay.generation:
        assert after == overlay
        return
    for name, own in overlay.machine.items():
        is_replaced = name in said and said[name].generation > own.generation
        assert (name in after.machine) is not is_replaced
    assert set(lost(after, said)) == set(after.cluster) - set(said)


def test_another_store_starts_with_what_we_have_as_our_own() -> None:
    overlay = Overlay(7, "one", {"web/a": Entry("drain", generation=7)}, {"web/b": Entry("disabled", generation=7)})
    moved = adopt(overlay, "two", 0, {})
    assert (moved.generation, moved.cluster, moved.store) == (0, {}, "two")
    assert {name: entry.state for name, entry in moved.machine.items()} == {"web/a": "drain", "web/b": "disabled"}
    assert adopt(moved, "two", 1, {"web/a": Entry("ready", generation=1)}).entry("web/a").state == "ready"


def test_what_a_configuration_does_not_have_is_said_and_left_out() -> None:
    overlay = Overlay(
        cluster={
            "web/gone": Entry("drain"),
            "shop/a": Entry(weight=3),
            "web/away": Entry(is_removed=True),
            "web/as-it-was": Entry("ready"),
            "web/own": Entry(added=backend("own", 5000)),
        },
        corrupt=("web/junk",),
    )
    after, problems = apply(config(), overlay)
    assert after == config()
    assert list(problems) == [
        "the operators' entry 'web/junk' in the store cannot be read: it is left out",
        "the operators' change of web/gone is left out: there is no such backend",
        "the operators' change of web/own is left out: `127.0.0.1:5000` is our own listener `traffic`: "
        "requests would go in circles",
        "the operators' change of shop/a is left out: there is no such pool",
    ]


def test_a_pool_is_never_left_empty() -> None:
    overlay = Overlay(cluster={f"web/{id}": Entry(is_removed=True) for id in IDS})
    after, problems = apply(config(), overlay)
    assert after == config()
    assert problems == ("operators removed every backend of pool web: they are kept",)


def test_the_machines_own_goes_before() -> None:
    overlay = Overlay(cluster={"web/a": Entry("drain")}, machine={"web/a": Entry("disabled", weight=9)})
    first = apply(config(), overlay)[0].pools[0].backends[0]
    assert (first.state, first.weight) == ("disabled", 9)


SET = Change("set", "web", "a", "drain")
ADD = Change("add", "web", "n", added=backend("n", 9))


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (Entry(), SET, Entry("drain")),
        (Entry(weight=4), SET, Entry("drain", 4)),
        (Entry("drain"), Change("set", "web", "a", weight=7), Entry("drain", 7)),
        (Entry(is_removed=True), ADD, Entry(added=backend("n", 9))),
        (Entry("drain", 4), Change("remove", "web", "a"), Entry(is_removed=True)),
        (Entry("drain"), Change("remove", "web", "gone"), Entry()),
    ],
)
def test_what_a_change_makes(before: Entry, change: Change, after: Entry) -> None:
    assert decide(config(), before, change) == after


@pytest.mark.parametrize(
    ("ids", "change", "status", "reason"),
    [
        (IDS, Change("set", "wbe", "a"), 404, "pool_not_found"),
        (IDS, Change("set", "web", "aa"), 404, "backend_not_found"),
        (IDS, Change("remove", "web", "n"), 404, "backend_not_found"),
        (("a",), Change("remove", "web", "a"), 409, "last_backend"),
        (("a", "n"), ADD, 409, "backend_exists"),
        (IDS, Change("add", "web", "n", added=backend("n", 5000)), 422, "invalid_backend"),
    ],
)
def test_what_is_refused(ids: tuple[str, ...], change: Change, status: int, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        decide(config(*ids), Entry(), change)
    assert (caught.value.status, caught.value.reason) == (status, reason)


def test_own_entries_that_say_nothing_are_not_kept() -> None:
    drained = with_own(Overlay(5), "web/a", Entry("drain"), "m1")
    assert drained.machine == {"web/a": Entry("drain", by="m1", generation=5)}
    assert with_own(drained, "web/a", Entry("ready"), "m1").machine == {}
    hiding = Overlay(5, cluster={"web/a": Entry("drain")})
    assert with_own(hiding, "web/a", Entry("ready"), "m1").entry("web/a").state == "ready"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "3", "null", "[]", '{"state": "up"}', '{"weight": 0}', '{"weight": "3"}', '{"backend": {}}',
        '{"backend": {"url": "http://169.254.169.254"}}', '{"backend": 3}', '{"generation": -1}', '{"generation": 1e3}',
        '{"generation": 9007199254740992}', '{"removed": 3}', '{"by": "a\\nb"}', "[" * 10_000, '{"by": "' + "x" * 20_000 + '"}',
    ],
)  # fmt: skip
def test_junk_of_other_machines_is_no_entry(text: str) -> None:
    with pytest.raises(ValueError):
        decode_entry(text)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=40), max_size=4))
def test_any_text_at_all_is_found_out(said: dict[str, str]) -> None:
    found, corrupt = decode_entries({"web/a": encode_entry(Entry("drain")), **said})
    assert set(found) | set(corrupt) == {"web/a", *said}


def test_what_a_later_version_adds_is_passed_over() -> None:
    said = json.loads(encode_entry(Entry(added=backend("n"), generation=3)))
    said["colour"], said["backend"]["colour"] = "blue", "red"
    assert decode_entry(json.dumps(said)) == Entry(added=backend("n"), generation=3)
