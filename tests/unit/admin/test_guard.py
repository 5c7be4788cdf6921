from __future__ import annotations

import pytest

from lb.admin.guard import bound_hosts, is_welcome
from lb.model import Listener

LOOPBACK = bound_hosts([Listener("admin", "admin", ("127.0.0.1:5050",))])
NAMED = bound_hosts(
    [Listener("a", "admin", ("10.0.0.7:5050", "[2001:db8::1]:5050", "lb.internal:5050", "unix:/run/a.sock"))]
)
EVERYWHERE = bound_hosts([Listener("a", "admin", ("0.0.0.0:5050",))])


def test_only_admin_listeners_count() -> None:
    assert bound_hosts([Listener("t", "traffic", ("evil.example:80",))]) == frozenset()
    assert sorted(NAMED) == ["10.0.0.7", "2001:db8::1", "lb.internal"]


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:5050", "127.0.0.1:5050", "127.8.9.1", "[::1]:5050", "localhost:8080"]
)
@pytest.mark.parametrize("bound", [LOOPBACK, NAMED, EVERYWHERE, frozenset[str]()])
def test_loopback_names_are_always_welcome(host: str, bound: frozenset[str]) -> None:
    assert is_welcome(host, None, bound)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:5050",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "localhost:",
        "localhost:5050:1",
        "localhost\n",
        "0x7f.1",
        "2130706433",
        "[::1",
        "[localhost]",
        "10.0.0.8",
        "lоcalhost",  # noqa: RUF001  a Cyrillic letter
    ],
)
def test_other_names_are_not(host: str) -> None:
    assert not is_welcome(host, None, LOOPBACK)
    assert not is_welcome(host, None, NAMED)


def test_what_it_is_bound_to_is_welcome() -> None:
    for host in ("10.0.0.7:5050", "[2001:DB8::1]:5050", "LB.internal"):
        assert is_welcome(host, None, NAMED)


def test_bound_everywhere_any_address_but_no_name_is_welcome() -> None:
    assert is_welcome("192.0.2.7:5050", None, EVERYWHERE)
    assert is_welcome("[2001:db8::2]", None, EVERYWHERE)
    assert not is_welcome("evil.example:5050", None, EVERYWHERE)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:5050", True),
        ("HTTPS://localhost:5050".lower(), True),
        ("http://localhost", False),
        ("http://localhost:3000", False),
        ("http://evil.example", False),
        ("http://localhost:5050.evil.example", False),
        ("http://localhost:5050/path", False),
        ("null", False),
        ("", False),
        ("file://", False),
    ],
)
def test_a_page_may_read_only_where_it_comes_from(origin: str, expected: bool) -> None:
    assert is_welcome("localhost:5050", origin, LOOPBACK) is expected
