"""A backend that an operator or another machine names is held to what the file's are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config.build import backend_from
from lb.config.fields import Reads
from lb.config.membership import BACKEND_KEYS, MOST_MISTAKES, KeyMistakes, backend_of, keys_of, misfit
from lb.config.schema_pools import BackendEntry
from lb.model import Backend, Config, ContractOptions, HashOptions, Listener, Pool, Route, State

POOL = Pool("web", (Backend("a", host="127.0.0.1", port=1),))


def config(pool: Pool = POOL, *routes: Route) -> Config:
    listeners = (Listener("traffic", "traffic", ("0.0.0.0:5000", "unix:/run/lb.sock")),)
    return Config("lb.yaml", listeners, (pool,), routes, State("/var/lib/lb"))


def test_the_keys_are_those_of_the_file() -> None:
    assert list(BACKEND_KEYS) == list(BackendEntry.model_fields)


VALUES: dict[str, list[Any]] = {
    "url": [
        "http://h",
        "https://h:1",
        "unix:/a b",
        "http://0x7f.1",
        "http://169.254.169.254",
        "file:///x",
        "h",
        3,
        None,
    ],
    "id": ["a", "x/1%y?#", "a b", 'a"', "", "é", 5, "x" * 201],
    "weight": [1, 256, 0, 257, "3", True, 1.5, None],
    "region": ["EU", "", "a\n", 4],
    "zone": ["b", "\ud800", []],
    "max_inflight": [1, None, "none", 0, "7", 1_000_001],
    "backup": [True, "yes", 1, None],
    "priority": [0, 127, 128, -1, "3", True, None],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in VALUES.items() for value in values])
def test_each_value_counts_as_in_the_file(key: str, value: Any) -> None:
    wish = {"url": "http://10.0.0.1:80", key: value}
    try:
        expected: Backend | None = backend_from(BackendEntry.model_validate(wish))
    except ValueError:
        expected = None
    try:
        found: Backend | None = backend_of(wish)
    except KeyMistakes as error:
        found = None
        assert list(error.mistakes) == [key]
    assert found == expected
    check = next(one for one in BackendEntry.model_fields[key].metadata if isinstance(one, Reads)).check
    assert BACKEND_KEYS[key] is check or BACKEND_KEYS[key].__qualname__ == check.__qualname__


def test_all_mistakes_at_once() -> None:
    with pytest.raises(KeyMistakes) as caught:
        backend_of({"weigth": 3, "url": "ftp://h", "backup": 7})
    assert caught.value.mistakes["weigth"] == "unknown key `weigth`, did you mean `weight`?"
    assert sorted(caught.value.mistakes) == ["backup", "url", "weigth"]
    with pytest.raises(KeyMistakes, match="`url` is missing"):
        backend_of({"id": "a"})


def test_so_many_mistakes_and_no_more() -> None:
    with pytest.raises(KeyMistakes) as caught:
        backend_of({f"weigth{i}": 3 for i in range(100_000)})
    assert len(caught.value.mistakes) == MOST_MISTAKES


backends = st.builds(
    backend_of,
    st.fixed_dictionaries(
        {"url": st.sampled_from(["http://h", "https://[::1]:8443", "unix:/run/a.sock"])},
        optional={
            "id": st.from_regex(r"[!#-\[\]-~]{1,20}", fullmatch=True),
            "weight": st.integers(1, 256),
            "region": st.sampled_from(["", "EU"]),
            "max_inflight": st.none() | st.integers(1, 1000),
            "backup": st.booleans(),
            "priority": st.integers(0, 127),
        },
    ),
)


@given(backends)
def test_the_keys_of_a_backend_make_it_again(backend: Backend) -> None:
    assert backend_of(keys_of(backend)) == backend


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost:5000", "unix:/run/lb.sock"])
def test_our_own_listeners_are_no_backends(url: str) -> None:
    assert "is our own listener `traffic`" in misfit(config(), POOL, backend_of({"url": url}))
    assert misfit(config(), POOL, backend_of({"url": "http://127.0.0.1:5001"})) == ""


def test_our_control_socket_is_none() -> None:
    assert "our own listener `control`" in misfit(config(), POOL, backend_of({"url": "unix:/var/lib/lb/control.sock"}))


def test_a_full_table_takes_no_more() -> None:
    small = Pool("web", POOL.backends, "contract_hash", hash=HashOptions(contract=ContractOptions(10, 9)))
    more = backend_of({"url": "http://h"})
    assert "need 18 slots" in misfit(config(small), small, more)
    by_route = Pool("web", POOL.backends, hash=HashOptions("contract", contract=ContractOptions(10, 9)))
    assert misfit(config(by_route), by_route, more) == ""
    route = Route("r", "pool", pool="web", policy="consistent_hash")
    assert "need 18 slots" in misfit(config(by_route, route), by_route, more)
