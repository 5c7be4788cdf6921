"""Row 20: who may say who is asking. The same lies from a stranger and from a trusted proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import RawClient, request
from tests.support.recorded import Recorded

TRUSTED, STRANGER = "127.0.0.2", "127.0.0.3"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CLAIMS = [
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.example.com",
    "X-Real-IP: 203.0.113.9",
    "Forwarded: for=203.0.113.9;proto=https",
    "X-Request-Id: their-own-id",
    f"traceparent: {TRACE}",
]


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(answering()) as opened:
        yield opened


@pytest.fixture(scope="module", params=["worker", "wsgi"])
def balancer(request: pytest.FixtureRequest, origin: FaultOrigin) -> Iterator[Balancer]:
    config = {**simple_config([origin.port]), "trusted_proxies": [f"{TRUSTED}/32"]}
    with running_balancer(config, request.param) as running:
        yield running


def seen(balancer: Balancer, origin: FaultOrigin, source: str, fields: list[str]) -> Recorded:
    """What the backend was told of a request from ``source``."""
    origin.requests.clear()
    with RawClient(balancer.port, source=source) as client:
        client.send(request("/", fields=[*fields, "Connection: close"]))
        assert client.receive(idle_s=5).answer().status == 200
    return origin.requests[0]


def test_row_20_a_strangers_claims_are_overwritten(balancer: Balancer, origin: FaultOrigin) -> None:
    told = seen(balancer, origin, STRANGER, CLAIMS)
    assert told.values("x-forwarded-for") == [STRANGER]
    assert told.values("x-real-ip") == [STRANGER]
    assert told.values("x-forwarded-proto") == ["http"]
    assert told.values("x-forwarded-host") == ["lb.test"]
    assert told.values("forwarded") == [f"for={STRANGER};host=lb.test;proto=http"]
    assert told.value("x-request-id") not in ("", "their-own-id")
    assert TRACE[3:35] not in told.value("traceparent")


def test_row_20_a_trusted_proxys_claims_are_extended(balancer: Balancer, origin: FaultOrigin) -> None:
    told = seen(balancer, origin, TRUSTED, CLAIMS)
    assert told.values("x-forwarded-for") == [f"203.0.113.9, {TRUSTED}"]
    assert told.values("x-real-ip") == ["203.0.113.9"]
    assert told.values("x-forwarded-proto") == ["https"]
    assert told.values("x-forwarded-host") == ["shop.example.com"]
    assert told.value("forwarded").startswith("for=203.0.113.9;proto=https, for=")
    assert told.values("x-request-id") == ["their-own-id"]
    assert told.value("traceparent")[3:35] == TRACE[3:35]


def test_row_20_the_client_is_the_rightmost_address_that_is_not_trusted(
    balancer: Balancer, origin: FaultOrigin
) -> None:
    told = seen(balancer, origin, TRUSTED, [f"X-Forwarded-For: 6.6.6.6, 203.0.113.9, {TRUSTED}"])
    assert told.values("x-real-ip") == ["203.0.113.9"]


@pytest.mark.parametrize(
    "junk", ["::ffff:1.2.3.4%eth0, unknown, _hidden", '"; drop table', "1.2.3.4, " * 200 + "5.6.7.8", ","]
)
def test_row_20_junk_from_a_trusted_proxy_does_no_harm(balancer: Balancer, origin: FaultOrigin, junk: str) -> None:
    told = seen(balancer, origin, TRUSTED, [f"X-Forwarded-For: {junk}"])
    assert told.value("x-forwarded-for").endswith(TRUSTED)
    assert len(told.head) < 4000


@pytest.mark.parametrize("name", ["X_Forwarded_For: 6.6.6.6", "X-Forwarded_For: 6.6.6.6", "x_real_ip: 6.6.6.6"])
def test_row_10_underscored_twins_never_arrive(balancer: Balancer, origin: FaultOrigin, name: str) -> None:
    assert b"6.6.6.6" not in seen(balancer, origin, STRANGER, [name]).head


def test_row_19_naming_our_fields_in_connection_does_not_remove_them(balancer: Balancer, origin: FaultOrigin) -> None:
    fields = ["Connection: X-Forwarded-For, X-Real-IP, Forwarded, X-Request-Id, Via, Host", *CLAIMS]
    told = seen(balancer, origin, STRANGER, fields)
    for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-request-id", "via", "host"):
        assert told.values(name), name


def test_row_19_every_hop_by_hop_field_ends_here(balancer: Balancer, origin: FaultOrigin) -> None:
    fields = [
        "Connection: keep-alive, X-Secret",
        "X-Secret: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: x",
        "TE: gzip",
    ]
    told = seen(balancer, origin, STRANGER, fields)
    for name in ("x-secret", "keep-alive", "proxy-connection", "te"):
        assert told.values(name) == [], name
    assert told.values("via") == ["1.1 lb"]
