"""What of a request a hash policy hashes, and what counts when the request has no such thing."""

from __future__ import annotations

import pytest

from lb.model import HashKey, HashOptions
from lb.proxy.deadlines import Deadline
from lb.proxy.forward import forward
from lb.proxy.hash_key import cookie, key_readers
from lb.proxy.pool import LivePool
from tests.support.scripted import head_of
from tests.unit.proxy.attempts import scene
from tests.unit.proxy.live import CALLER, backends, live_pool, request

LINE = "GET /a/b?user=7&user=8&empty=&n=%C3%A9 HTTP/1.1"
FIELDS = ("X-User: ann", "X-User: bob", "Cookie: theme=dark; sid=s1=; SID=upper", "Cookie: late=1")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (HashKey("url"), b"/a/b?user=7&user=8&empty=&n=%C3%A9"),
        (HashKey("path"), b"/a/b"),
        (HashKey("header", "x-user"), b"ann"),
        (HashKey("header", "x-none"), b""),
        (HashKey("cookie", "sid"), b"s1="),
        (HashKey("cookie", "late"), b"1"),
        (HashKey("cookie", "me"), b""),
        (HashKey("query", "user"), b"7"),
        (HashKey("query", "empty"), b""),
        (HashKey("query", "n"), "é".encode()),
        (HashKey("query", "none"), b""),
    ],
    ids=lambda value: f"{value.kind} {value.name}" if isinstance(value, HashKey) else "",
)
def test_what_is_read(key: HashKey, expected: bytes) -> None:
    read = key_readers(HashOptions(key=key), lambda: 0.5)["consistent_hash"]
    assert read(head_of(LINE, *FIELDS)) == expected


def test_of_thousands_that_look_alike_only_some_are_looked_at() -> None:
    alike = "Cookie: " + "xsid=1; " * 31
    assert cookie(head_of("GET / HTTP/1.1", f"{alike} sid=2"), b"sid") == b"2"
    assert cookie(head_of("GET / HTTP/1.1", alike, alike, "Cookie: sid=2"), b"sid") == b""


def test_no_cookies_at_all() -> None:
    assert cookie(head_of(), b"sid") == b""


def test_a_random_key_is_an_id_of_six_digits() -> None:
    drawn = iter((0.0, 0.9999999, 0.5))
    read = key_readers(HashOptions(key=HashKey("random")), lambda: next(drawn))["maglev"]
    assert [read(head_of()) for _ in range(3)] == [b"100000", b"999999", b"550000"]


def test_which_policies_want_a_key_of_their_own() -> None:
    """The client's address is what everybody gets anyway: nothing is read for it."""

    def wanting(**options: object) -> set[str]:
        return set(key_readers(HashOptions(**options), lambda: 0.5))  # type: ignore[arg-type]

    assert wanting() == {"url_hash", "contract_hash"}
    assert wanting(table="contract") == {"url_hash", "contract_hash", "consistent_hash"}
    assert wanting(table="contract", key=HashKey("client_ip")) == {"url_hash"}
    assert "ring_hash" in wanting(key=HashKey("path"))


def picked(pool: LivePool, policy: str, deadline: Deadline, line: str = "GET / HTTP/1.1", *fields: str) -> bytes:
    """The key under which this request was picked for. Nobody listens: the attempt fails."""
    with request(deadline, line, *fields) as exchange, pytest.raises(Exception, match="connect"):
        forward(exchange, pool, policy)
    return pool.key


def test_a_request_without_it_counts_by_its_clients_address(deadline: Deadline) -> None:
    pool = live_pool(*backends(1), hash=HashOptions(key=HashKey("header", "x-user")))
    assert picked(pool, "consistent_hash", deadline, "GET / HTTP/1.1", "X-User: ann") == b"ann"
    assert picked(live_pool(*backends(1), hash=pool.pool.hash), "consistent_hash", deadline) == CALLER.address


@pytest.mark.parametrize(
    ("policy", "key"), [("peak_ewma", CALLER.address), ("ip_hash", CALLER.address), ("url_hash", b"/x")]
)
def test_only_the_policy_in_use_decides(policy: str, key: bytes, deadline: Deadline) -> None:
    pool = live_pool(*backends(1), hash=HashOptions(key=HashKey("header", "x-user")))
    assert picked(pool, policy, deadline, "GET /x HTTP/1.1", "X-User: ann") == key


def test_the_same_url_goes_to_the_same_backend(deadline: Deadline) -> None:
    with scene(deadline, "good", "good", "good") as one:
        for path in ("/a", "/b", "/c", "/d", "/e", "/f") * 3:
            with request(deadline, f"GET {path} HTTP/1.1") as exchange:
                forward(exchange, one.pool, "url_hash")
                exchange.release()
        assert sorted(count % 3 for count in one.requests()) == [0, 0, 0]
        assert sum(1 for count in one.requests() if count) > 1
