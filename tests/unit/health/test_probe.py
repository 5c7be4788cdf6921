from __future__ import annotations

import time
from pathlib import Path

import pytest
from gevent import ssl

from lb.health.probe import ProbeResult, ProbeTarget, probe
from lb.model import Backend, BackendTls, Health
from tests.support.certificates import self_signed
from tests.support.fault_origin import FaultOrigin
from tests.unit.health.origin import Origin, Script, answer, silence, status, unused_port

HTTP = Health("http", path="/health?deep=1", timeout_s=5.0)


def look(origin: Origin, health: Health = HTTP, **more: str) -> ProbeResult:
    return probe(ProbeTarget(origin.backend(**more), health, BackendTls()))


def test_a_request_is_what_a_server_expects() -> None:
    with Origin() as origin:
        assert look(origin).ok
        expected = (
            f"GET /health?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:{origin.port}\r\nUser-Agent: lb-probe\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        )
        assert origin.heads == [expected.encode()]


def test_host_can_be_configured() -> None:
    with Origin() as origin:
        look(origin, Health("http", host="shop.example.com"))
        assert b"\r\nHost: shop.example.com\r\n" in origin.heads[0]


@pytest.mark.parametrize("code", [200, 204, 301, 399])
def test_good_statuses(code: int) -> None:
    with Origin(status(code)) as origin:
        result = look(origin)
        assert (result.ok, result.reason) == (True, "ok")


@pytest.mark.parametrize("code", [400, 404, 500, 503])
def test_bad_statuses(code: int) -> None:
    with Origin(status(code)) as origin:
        result = look(origin)
        assert (result.ok, result.reason) == (False, f"status {code}")


def test_status_set_replaces_the_default() -> None:
    health = Health("http", status=(503,), timeout_s=5.0)
    with Origin(status(503)) as origin:
        assert look(origin, health).ok
        origin.script = status(200)
        assert look(origin, health).reason == "status 200"


def test_redirects_are_not_followed() -> None:
    with Origin() as other, Origin() as origin:
        origin.script = answer(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\n\r\n" % other.port)
        assert look(origin).ok
        assert (origin.connections, other.connections) == (1, 0)


def test_interim_answers_are_not_the_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with Origin(answer(early, early, b"HTTP/1.1 503 No\r\n\r\n")) as origin:
        assert look(origin).reason == "status 503"
        origin.script = answer(early * 9)
        assert look(origin).reason == "bad response: too many 1xx answers"
        origin.script = answer(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        assert not look(origin).ok


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 +200 OK\r\n\r\n",
        b"HTTP/1.1 0200 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ],
)
def test_what_is_not_http_is_not_healthy(data: bytes) -> None:
    with Origin(answer(data)) as origin:
        assert look(origin).reason.startswith("bad response: ")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (answer(), "closed before an answer"),
        (answer(b"HTTP/1.1 200 OK\r\nX: y"), "closed inside the head"),
        (answer(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9000), "head over 8 KiB"),
        (answer(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 9000 + b"\r\n\r\n"), "head over 8 KiB"),
    ],
)
def test_heads_that_end_too_early_or_never(script: Script, reason: str) -> None:
    with Origin(script) as origin:
        assert look(origin).reason == reason


def test_the_time_limit_is_for_the_whole_probe() -> None:
    def drip(sock: object) -> None:
        import gevent

        sock.recv(4096)  # type: ignore[attr-defined]
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
            sock.sendall(bytes([byte]))  # type: ignore[attr-defined]
            gevent.sleep(0.02)

    for script in (silence, drip):
        with Origin(script) as origin:
            started = time.monotonic()
            result = look(origin, Health("http", timeout_s=0.2))
            assert result.reason == "timeout"
            assert 0.19 <= result.duration_s <= time.monotonic() - started < 3


def test_nobody_listens() -> None:
    for kind in ("tcp", "http"):
        refused = Backend("b", host="127.0.0.1", port=unused_port())
        assert probe(ProbeTarget(refused, Health(kind), BackendTls())).reason == "connection refused"


def test_a_name_that_does_not_exist() -> None:
    nowhere = Backend("b", host="backend.invalid", port=80)
    assert probe(ProbeTarget(nowhere, Health("tcp", timeout_s=5.0), BackendTls())).reason in (
        "name not resolved",
        "timeout",
    )


def test_a_host_that_swallows_everything() -> None:
    hole = FaultOrigin().black_hole()
    backend = Backend("b", host="127.0.0.1", port=hole.port)
    result = probe(ProbeTarget(backend, Health("tcp", timeout_s=0.2), BackendTls()))
    hole.close()
    assert result.reason == "timeout"
    assert result.duration_s < 2


@pytest.mark.parametrize("host", ["x" * 64 + ".example", "\u0130.example", "a\0b"])
def test_a_name_that_cannot_be_one(host: str) -> None:
    assert not probe(ProbeTarget(Backend("b", host=host, port=80), HTTP, BackendTls())).ok


def test_tcp_needs_no_more_than_a_connect() -> None:
    with Origin(silence) as origin:
        assert look(origin, Health("tcp")).ok


def test_port_override() -> None:
    with Origin(status(503)) as traffic, Origin() as health:
        assert look(traffic, Health("http", port=health.port)).ok
        assert traffic.connections == 0


def test_type_none_is_always_good_and_asks_nobody() -> None:
    with Origin() as origin:
        assert look(origin, Health("none")).ok
        assert origin.connections == 0


def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with Origin(unix_path=path) as origin:
        assert look(origin).ok
        assert look(origin, Health("tcp")).ok
        assert b"\r\nHost: localhost\r\n" in origin.heads[0]
    missing = Backend("b", unix_path=str(tmp_path / "none.sock"))
    assert probe(ProbeTarget(missing, HTTP, BackendTls())).reason == "no such unix socket"


@pytest.fixture
def tls_origin(tmp_path: Path) -> tuple[Origin, str, list[str | None]]:
    cert, key = self_signed(tmp_path, "app.internal")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    asked: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: asked.append(name)
    return Origin(ssl_context=context), cert, asked


def test_https_verifies_name_and_chain(tls_origin: tuple[Origin, str, list[str | None]]) -> None:
    origin, cert, asked = tls_origin
    health = Health("https", timeout_s=5.0)

    def see(tls: BackendTls) -> ProbeResult:
        return probe(ProbeTarget(origin.backend(scheme="https"), health, tls))

    with origin:
        assert see(BackendTls(ca=cert, server_name="app.internal")).ok
        assert asked == ["app.internal"]
        assert see(BackendTls(ca=cert)).reason.startswith("tls: IP address mismatch")
        assert see(BackendTls(server_name="app.internal")).reason == "tls: self-signed certificate"
        assert see(BackendTls(verify=False)).ok
        assert see(BackendTls(ca="/nonexistent.pem")).reason == "ca file: no such file or directory"


def test_type_http_follows_the_backends_scheme(tls_origin: tuple[Origin, str, list[str | None]]) -> None:
    origin, _, _ = tls_origin
    with origin, Origin() as plain:
        insecure = BackendTls(verify=False)
        assert probe(ProbeTarget(origin.backend(scheme="https"), HTTP, insecure)).ok
        elsewhere = Health("http", port=plain.port, timeout_s=5.0)
        assert probe(ProbeTarget(origin.backend(scheme="https"), elsewhere, insecure)).ok


def test_https_against_plain_http_is_a_tls_failure() -> None:
    with Origin(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as origin:
        assert look(origin, Health("https", timeout_s=5.0)).reason.startswith("tls: ")


def ok(body: bytes, *fields: bytes) -> Script:
    return answer(b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"", b""]), body)


def test_fields_are_sent_and_go_before_ours() -> None:
    with Origin() as origin:
        look(origin, Health("http", headers=(("X-Probe", "1"), ("accept", "application/json"))))
        (head,) = origin.heads
        assert head.endswith(b"Connection: close\r\nX-Probe: 1\r\naccept: application/json\r\n\r\n")
        assert head.lower().count(b"accept:") == 1


@pytest.mark.parametrize(
    "script",
    [
        ok(b'{"status": "ready"}', b"Content-Length: 19"),
        ok(b'{"status": "ready"}'),
        ok(b"8\r\n{\"status\r\nb\r\n\": \"ready\"}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
        ok(b"ready" + b"x" * 200_000, b"Content-Length: 200005"),
        ok(b"ready" + b"x" * 200_000),
    ],
)  # fmt: skip
def test_what_must_occur_is_found_in_every_framing_however_long_the_rest(script: Script) -> None:
    with Origin(script) as origin:
        assert look(origin, Health("http", body="ready", timeout_s=5.0)).ok
        assert look(origin, Health("http", body="re.dy", body_is_regex=True, timeout_s=5.0)).ok
        assert look(origin, Health("http", body="re.dy", timeout_s=5.0)).reason == "body does not match"
        assert (
            look(origin, Health("http", body="^dy", body_is_regex=True, timeout_s=5.0)).reason == "body does not match"
        )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (ok(b""), "body does not match"),
        (ok(b"x" * 70_000 + b"ready"), "body does not match"),
        (ok(b"rea", b"Content-Length: 5"), "closed inside the body"),
        (ok(b"zz\r\n", b"Transfer-Encoding: chunked"), "bad response: "),
        (answer(b"HTTP/1.1 503 No\r\n\r\nready"), "status 503"),
    ],
)
def test_a_body_that_says_something_else_or_nothing(script: Script, reason: str) -> None:
    with Origin(script) as origin:
        assert look(origin, Health("http", body="ready", timeout_s=5.0)).reason.startswith(reason)


def test_a_body_that_never_ends_takes_no_longer_than_the_probe_may() -> None:
    def dribble(sock: object) -> None:
        answer(b"HTTP/1.1 200 OK\r\n\r\nno")(sock)
        silence(sock)

    with Origin(dribble) as origin:
        result = look(origin, Health("http", body="ready", timeout_s=0.3))
        assert result.reason == "timeout" and result.duration_s < 2.0
