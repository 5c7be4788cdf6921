"""Bodies, switches and cuts: what a demo backend does on order."""

from __future__ import annotations

import hashlib

import pytest

from backends.bodies import pattern
from tests.unit.backends.client import Client

GET = b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_echo_of_a_known_length(backend: Client) -> None:
    body = b"".join(pattern(300_000))
    echoed = backend.send("PUT", "/echo?a=1&a=2&b=", body, {"X-One": "1"}).json
    assert echoed["method"] == "PUT"
    assert (echoed["path"], echoed["target"]) == ("/echo", "/echo?a=1&a=2&b=")
    assert echoed["query"] == {"a": "2", "b": ""}
    assert ["X-One", "1"] in echoed["headers"]
    assert (echoed["body_bytes"], echoed["body_sha256"]) == (300_000, hashlib.sha256(body).hexdigest())


def test_echo_of_a_chunked_body(backend: Client) -> None:
    echoed = backend.send("POST", "/echo", iter([b"hello ", b"world"])).json
    assert (echoed["body_bytes"], echoed["body_sha256"]) == (11, hashlib.sha256(b"hello world").hexdigest())


def test_numbered_bytes(backend: Client) -> None:
    answer = backend.get("/bytes/1000001")
    assert answer.headers["Content-Length"] == "1000001"
    assert answer.body == (bytes(range(256)) * 3907)[:1000001]


def test_chunked(backend: Client) -> None:
    answer = backend.get("/chunked?n=12&size=2")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.body == b"001122334455667788990011"


def test_drip_has_a_length(backend: Client) -> None:
    answer = backend.get("/drip?n=5&size=2&interval=1ms")
    assert (answer.headers["Content-Length"], answer.body) == ("10", b"0011223344")


def test_server_sent_events(backend: Client) -> None:
    answer = backend.get("/sse?n=2&interval=1ms")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.text == "id: 0\ndata: event 0\n\nid: 1\ndata: event 1\n\n"


@pytest.mark.parametrize("target", ["/bytes/1000000", "/chunked", "/", "/login"])
def test_head_has_no_body(backend: Client, target: str) -> None:
    raw = GET.replace(b"GET", b"HEAD") % target.encode()
    head, _, body = backend.exchange(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b""


def test_keep_alive_and_pipelining(backend: Client) -> None:
    first = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    raw = backend.exchange(first + GET % b"/login")
    assert raw.count(b"HTTP/1.1 200 OK") == 2
    assert raw.endswith(b"logged in on backend-2")


@pytest.mark.parametrize(
    ("status", "body"), [(503, b'{"status": 503}'), (204, b""), (304, b""), (418, b'{"status": 418}')]
)
def test_status_on_order(backend: Client, status: int, body: bytes) -> None:
    answer = backend.get(f"/login?status={status}")
    assert (answer.status, answer.body) == (status, body)


def test_delay_on_order(backend: Client) -> None:
    answer = backend.get("/login?delay=30ms&status=202")
    assert answer.status == 202


def test_failing_now_and_then(backend: Client) -> None:
    statuses = [backend.get("/login?fail=0.5").status for _ in range(60)]
    assert set(statuses) == {200, 500}
    assert backend.get("/login?fail=0").status == 200
    assert backend.get("/login?fail=1").status == 500


@pytest.mark.parametrize(
    "target",
    ["/?delay=soon", "/?status=99", "/?status=x", "/?fail=2", "/bytes/-1", "/bytes/", "/chunked?n=-1", "/bytes/²"],
)
def test_a_switch_that_makes_no_sense_is_refused(backend: Client, target: str) -> None:
    answer = backend.get(target.replace("²", "%C2%B2"))
    assert answer.status == 400
    assert answer.json["error"]


def test_close_without_an_answer(backend: Client) -> None:
    assert backend.exchange(GET % b"/close") == b""


def test_abort_in_the_middle_of_a_known_length(backend: Client) -> None:
    head, _, body = backend.exchange(GET % b"/abort?bytes=1000&after=10").partition(b"\r\n\r\n")
    assert b"Content-Length: 1000" in head
    assert body == bytes(range(10))


def test_abort_in_the_middle_of_chunks(backend: Client) -> None:
    raw = backend.exchange(GET % b"/abort?bytes=20&chunked=1")
    assert b"Transfer-Encoding: chunked" in raw
    assert not raw.endswith(b"0\r\n\r\n")


def test_abort_by_reset(backend: Client) -> None:
    with pytest.raises(ConnectionResetError):
        backend.exchange(GET % b"/close?reset=1")
