from __future__ import annotations

import json

import pytest

from lb.health.exchange import ExchangeError
from lb.health.load import LoadReport, LoadTarget, fetch_load, parse_load
from lb.model import BackendTls
from tests.unit.health.origin import Origin, Script, answer, silence, status

DOCUMENT = {"cpu_usage": 12.5, "memory_usage": 60, "net_usage": 9, "active_connections": 5, "response_time": 0.05}
BODY = json.dumps(DOCUMENT).encode()
REPORT = LoadReport(12.5, 60.0, 0.05)


def poll(script: Script, timeout_s: float = 5.0) -> LoadReport:
    with Origin(script) as origin:
        return fetch_load(LoadTarget(origin.backend(), BackendTls(), "/metrics", timeout_s))


def chunked(body: bytes) -> bytes:
    chunks = [body[:7], body[7:]]
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\nX-End: 1\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY), BODY, b"more than announced"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(BODY)),
        (b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:9], BODY[9:]),
    ],
    ids=["length", "chunked", "close"],
)
def test_every_framing(parts: tuple[bytes, ...]) -> None:
    assert poll(answer(*parts)) == REPORT


def test_it_asks_for_json() -> None:
    with Origin(status(200, BODY)) as origin:
        fetch_load(LoadTarget(origin.backend(), BackendTls(), "/load", 5.0))
        assert origin.heads[0].startswith(b"GET /load HTTP/1.1\r\n")
        assert b"\r\nAccept: application/json\r\n" in origin.heads[0]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (status(404), "status 404"),
        (status(302), "status 302"),
        (silence, "timeout"),
        (answer(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"), "closed inside the body"),
        (answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"), "closed inside the body"),
        (answer(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n"), "body over 64 KiB"),
        (answer(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 70000), "body over 64 KiB"),
        (answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b" " * 70000)), "body over 64 KiB"),
    ],
)
def test_failures_say_why(script: Script, reason: str) -> None:
    with pytest.raises(ExchangeError, match=f"^{reason}$"):
        poll(script, timeout_s=0.5)


def test_a_bad_chunk_is_a_bad_response() -> None:
    with pytest.raises(ExchangeError, match=r"^bad response: "):
        poll(answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b"null",
        b"[" * 50_000,
        b'{"cpu_usage": 1, "memory_usage": 2}',
        *(
            json.dumps(DOCUMENT | {"cpu_usage": value}).encode()
            for value in (None, True, "12", -1, 1e9, 10**400, float("nan"), float("inf"), [1])
        ),
    ],
)
def test_documents_that_make_no_sense(body: bytes) -> None:
    with pytest.raises(ExchangeError, match=r"^load report "):
        parse_load(body)
