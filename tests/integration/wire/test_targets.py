"""Row 14: the path that a route is chosen by is the path that the backend understands."""

from __future__ import annotations

import posixpath
import random
import re
from collections.abc import Iterator

import pytest

from tests.support.balancer import Balancer, running_balancer
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, get, request

PARTS = [
    "admin",
    "adm%69n",
    "%61dmin",
    "ADMIN",
    "public",
    ".",
    "..",
    "%2e",
    "%2E%2e",
    ".%2e",
    "",
    "%2F",
    "%2f..",
    "%5c",
    ";x",
    "x%00",
]
TARGETS = 400


@pytest.fixture(scope="module")
def guarded() -> Iterator[FaultOrigin]:
    with fault_origin(answering()) as origin:
        yield origin


@pytest.fixture(scope="module")
def public() -> Iterator[FaultOrigin]:
    with fault_origin(answering()) as origin:
        yield origin


@pytest.fixture(scope="module", params=["worker", "wsgi"])
def balancer(request: pytest.FixtureRequest, guarded: FaultOrigin, public: FaultOrigin) -> Iterator[Balancer]:
    pools = {
        name: {"backends": [f"http://127.0.0.1:{origin.port}"], "health": {"type": "none"}}
        for name, origin in (("guarded", guarded), ("public", public))
    }
    routes = [{"path": "/admin", "pool": "guarded"}, {"pool": "public"}]
    with running_balancer({"pools": pools, "routes": routes}, request.param) as running:
        yield running


def understood(target: str) -> str:
    """As an origin reads it that follows RFC 3986 section 6.2.2 and merges slashes."""
    path = re.sub(r"%([0-9A-Fa-f]{2})", lambda code: _unescaped(code[0]), target.partition("?")[0])
    return posixpath.normpath(re.sub(r"/+", "/", path))


def _unescaped(code: str) -> str:
    char = chr(int(code[1:], 16))
    return char if re.fullmatch(r"[A-Za-z0-9\-._~]", char) else code.upper()


def is_guarded(target: str) -> bool:
    path = understood(target)
    return path == "/admin" or path.startswith("/admin/")


def targets() -> list[str]:
    rng = random.Random(14)
    return [
        "/" + "/".join(rng.choices(PARTS, k=rng.randint(1, 5))) + rng.choice(["", "?a=/admin", "/"])
        for _ in range(TARGETS)
    ]


def test_row_14_odd_paths_go_where_their_backend_thinks_they_belong(
    balancer: Balancer, guarded: FaultOrigin, public: FaultOrigin
) -> None:
    guarded.requests.clear()
    public.requests.clear()
    sent = targets()
    with RawClient(balancer.port) as client:
        for target in sent:
            client.send(request(target))
            assert client.receive_until(b"ok 0\n").data.startswith(b"HTTP/1.1 200 "), target
    assert [one.target for one in guarded.requests] == [target for target in sent if is_guarded(target)]
    assert [one.target for one in public.requests] == [target for target in sent if not is_guarded(target)]


@pytest.mark.parametrize(
    "target", ["/a#b", "/a\\b", "/caf\xe9", "/a\x7fb", "/a\x01b", "admin", "//admin@x", "http:///admin"]
)
def test_row_14_targets_that_read_two_ways_are_refused_or_sent_as_they_are(
    balancer: Balancer, guarded: FaultOrigin, public: FaultOrigin, target: str
) -> None:
    guarded.requests.clear()
    public.requests.clear()
    with RawClient(balancer.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: lb.test\r\nConnection: close\r\n\r\n".encode("latin-1"))
        received = client.receive(idle_s=5)
    seen = [one.target for one in guarded.requests + public.requests]
    assert (received.answers()[0].status, seen) in [(400, []), (200, [target])]


def test_row_12_the_targets_authority_is_what_counts(balancer: Balancer, public: FaultOrigin) -> None:
    public.requests.clear()
    assert get(balancer.port, "http://Other.Test:81/x?y").status == 200
    assert (public.requests[0].target, public.requests[0].values("host")) == ("/x?y", ["other.test:81"])
