"""What a listener does before the first request: TLS, the PROXY protocol, IPv6, limits. Worker path only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.cases.messages import request
from tests.contract.conftest import HAS_IPV6, NO_IPV6, Scene
from tests.contract.origin import ScriptedOrigin
from tests.contract.script import Pieces, bytes_of
from tests.support.balancer import Balancer, running_balancer
from tests.support.certificates import self_signed
from tests.support.ports import free_ports
from tests.support.raw_client import RawClient, exchange, parse_answers
from tests.support.recorded import Recorded

RELOAD_S = 3.0
"""New connections see a replaced certificate within this."""
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
CLOSING = request("/", "Connection: close")


@dataclass
class Listeners:
    balancer: Balancer
    origin: ScriptedOrigin
    folder: Path
    v6_port: int

    def certificate(self, name: str) -> str:
        return str(self.folder / name / "cert.pem")

    def seen(self, raw: bytes, listener: str) -> tuple[int, list[Recorded]]:
        """The answer's status, and what reached the backend."""
        self.origin.play((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",))
        status = exchange(self.balancer.ports[listener], raw, idle_s=5).answer().status
        return status, list(self.origin.requests)


@pytest.fixture(scope="module")
def listeners(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    folder = tmp_path_factory.mktemp("listeners")
    pairs = []
    for name in ("one.test", "two.test"):
        (folder / name).mkdir()
        cert, key = self_signed(folder / name, name)
        pairs.append({"cert": cert, "key": key})
    (v6_port,) = free_ports(1)
    config = {
        **scene.config,
        "listeners": {
            "tls": {"tls": pairs, "timeouts": {"handshake": "1s"}},
            "proxied": {"proxy_protocol": True, "timeouts": {"handshake": "1s"}},
            "proxied_tls": {"proxy_protocol": True, "tls": pairs[:1]},
            "small": {"body_limit": 1024},
            "v6": {"bind": f"[::1]:{v6_port}" if HAS_IPV6 else f"127.0.0.1:{v6_port}"},
        },
    }
    with running_balancer(config) as balancer:
        yield Listeners(balancer, scene.origin, folder, v6_port)


@contextlib.contextmanager
def connected(
    listeners: Listeners, name: str, *, listener: str = "tls", first: bytes = b"", ca: str = ""
) -> Iterator[ssl.SSLSocket]:
    """A verified TLS connection that asks for ``name``."""
    context = ssl.create_default_context(cafile=ca or listeners.certificate(name))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", listeners.balancer.ports[listener]), timeout=5) as sock:
        sock.sendall(first)
        with context.wrap_socket(sock, server_hostname=name) as secured:
            yield secured


def fetch(sock: socket.socket, raw: bytes = CLOSING) -> bytes:
    """The body of the only answer; the connection's end must be a proper one."""
    sock.sendall(raw)
    data = b""
    while piece := sock.recv(65536):
        data += piece
    (answer,) = parse_answers(data, ["GET"], is_closed=True)
    assert answer.status == 200 and answer.is_complete, data
    return answer.body


def play(listeners: Listeners) -> None:
    listeners.origin.play((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",))


@pytest.mark.parametrize("name", ["one.test", "two.test"])
def test_sni_chooses_the_certificate_and_alpn_is_http_1_1(listeners: Listeners, name: str) -> None:
    play(listeners)
    with connected(listeners, name) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert fetch(sock) == b"ok"
    assert listeners.origin.requests[0].values("x-forwarded-proto") == ["https"]


def test_an_unknown_name_gets_the_first_certificate(listeners: Listeners) -> None:
    context = ssl.create_default_context(cafile=listeners.certificate("one.test"))
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", listeners.balancer.ports["tls"]), timeout=5) as sock,
        context.wrap_socket(sock, server_hostname="other.test") as secured,
    ):
        assert fetch(secured) == b"ok"


def test_tls_carries_large_bodies_both_ways(listeners: Listeners) -> None:
    body = os.urandom(700_000)
    listeners.origin.play((b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body,))
    with connected(listeners, "one.test") as sock:
        assert fetch(sock, request("/", "Connection: close", method="POST", body=body)) == body
    assert listeners.origin.requests[0].body == body


def test_tls_keeps_connections_and_takes_pipelined_requests(listeners: Listeners) -> None:
    play(listeners)
    with connected(listeners, "one.test") as sock:
        sock.sendall(request("/1") + request("/2") + request("/3", "Connection: close"))
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert [one.body for one in parse_answers(data, ["GET"] * 3, is_closed=True)] == [b"ok"] * 3


def test_old_tls_is_refused(listeners: Listeners) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", listeners.balancer.ports["tls"]), timeout=5) as sock,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(sock)


def test_plain_http_where_tls_is_spoken_is_told_so(listeners: Listeners) -> None:
    raw = exchange(listeners.balancer.ports["tls"], request("/"), idle_s=4)
    answer = raw.answer()
    assert (answer.status, json.loads(answer.body)["reason"], raw.is_closed) == (400, "not_tls", True)
    assert "Traceback" not in listeners.balancer.log()


@pytest.mark.parametrize("hello", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01"], ids=["junk", "silent"])
def test_no_handshake_is_an_end_without_an_answer(listeners: Listeners, hello: bytes) -> None:
    with RawClient(listeners.balancer.ports["tls"]) as client:
        client.send(hello)
        received = client.receive(idle_s=4)
    assert received.is_closed
    assert not received.data.startswith(b"HTTP/")


def test_replaced_certificate_files_are_served_without_a_restart(listeners: Listeners) -> None:
    pid = listeners.balancer.workers()[0].pid
    fresh = listeners.folder / "fresh"
    fresh.mkdir()
    self_signed(fresh, "two.test")
    play(listeners)
    with connected(listeners, "two.test") as before:
        for file in ("key.pem", "cert.pem"):
            shutil.copy(fresh / file, listeners.folder / "two.test" / f"{file}.new")
            os.replace(listeners.folder / "two.test" / f"{file}.new", listeners.folder / "two.test" / file)
        deadline = time.monotonic() + RELOAD_S
        while not _is_verified_by(listeners, str(fresh / "cert.pem")):
            assert time.monotonic() < deadline, "still the old certificate"
            time.sleep(0.05)
        assert fetch(before) == b"ok"
    assert listeners.balancer.workers()[0].pid == pid


def _is_verified_by(listeners: Listeners, ca: str) -> bool:
    try:
        with connected(listeners, "two.test", ca=ca):
            return True
    except ssl.SSLCertVerificationError:
        return False


def test_unusable_certificate_files_leave_the_old_one(listeners: Listeners) -> None:
    cert = listeners.folder / "one.test" / "cert.pem"
    good = cert.read_bytes()
    shutil.copy(cert, listeners.folder / "kept.pem")
    cert.write_bytes(b"no certificate")
    deadline = time.monotonic() + RELOAD_S
    while "kept the old one" not in listeners.balancer.log():
        assert time.monotonic() < deadline, "nothing in the log"
        time.sleep(0.05)
    play(listeners)
    with connected(listeners, "one.test", ca=str(listeners.folder / "kept.pem")) as sock:
        assert fetch(sock) == b"ok"
    cert.write_bytes(good)


def v2(family: int, addresses: bytes, command: int = 1) -> bytes:
    return V2_SIGNATURE + bytes((0x20 | command, family)) + struct.pack("!H", len(addresses)) + addresses


V2_IPV4 = v2(0x11, socket.inet_aton("203.0.113.9") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 5, 80))
V2_IPV6 = v2(
    0x21,
    socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 5, 80),
)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 203.0.113.9 198.51.100.1 5 80\r\n", "203.0.113.9"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 5 80\r\n", "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (V2_IPV4, "203.0.113.9"),
        (V2_IPV6, "2001:db8::9"),
        (v2(0, b"", command=0), "127.0.0.1"),
    ],
    ids=["v1-4", "v1-6", "v1-unknown", "v2-4", "v2-6", "v2-local"],
)
def test_the_proxy_protocol_says_who_the_client_is(listeners: Listeners, header: bytes, client: str) -> None:
    status, requests = listeners.seen(header + CLOSING, "proxied")
    assert status == 200
    assert requests[0].values("x-forwarded-for") == requests[0].values("x-real-ip") == [client]


def test_a_proxy_header_may_come_in_pieces(listeners: Listeners) -> None:
    play(listeners)
    header = Pieces(V2_IPV4 + CLOSING)
    with RawClient(listeners.balancer.ports["proxied"]) as client:
        client.send_pieces([bytes((byte,)) for byte in bytes_of((header,))], 0.001)
        assert client.receive(idle_s=5).answer().body == b"ok"
    assert listeners.origin.requests[0].values("x-forwarded-for") == ["203.0.113.9"]


@pytest.mark.parametrize("raw", [CLOSING, b"PROXY TCP4 1.2.3.4\r\n" + CLOSING, b"PROXY TCP4 1.2.3.4 "])
def test_without_a_proper_proxy_header_nothing_is_served(listeners: Listeners, raw: bytes) -> None:
    play(listeners)
    received = exchange(listeners.balancer.ports["proxied"], raw, idle_s=4)
    assert received.is_closed
    assert b" 200 " not in received.data
    assert listeners.origin.requests == []


def test_a_proxy_header_comes_before_tls(listeners: Listeners) -> None:
    play(listeners)
    with connected(listeners, "one.test", listener="proxied_tls", first=V2_IPV4) as sock:
        assert fetch(sock) == b"ok"
    assert listeners.origin.requests[0].values("x-forwarded-for") == ["203.0.113.9"]


def test_a_listener_has_a_body_limit(listeners: Listeners) -> None:
    assert listeners.seen(request("/", "Connection: close", method="POST", body=b"x" * 1024), "small")[0] == 200
    status, requests = listeners.seen(request("/", method="POST", body=b"x" * 1025), "small")
    assert (status, requests) == (413, [])


@pytest.mark.skipif(not HAS_IPV6, reason=NO_IPV6)
def test_an_ipv6_listener_tells_the_client_address(listeners: Listeners) -> None:
    play(listeners)
    with socket.create_connection(("::1", listeners.v6_port), timeout=5) as sock:
        assert fetch(sock) == b"ok"
    seen = listeners.origin.requests[0]
    assert seen.values("x-forwarded-for") == ["::1"]
    assert seen.value("forwarded").startswith('for="[::1]";')


def test_a_status_listener_serves_its_resources_only(listeners: Listeners) -> None:
    assert listeners.seen(request("/health/live", "Connection: close"), "status") == (200, [])
    assert listeners.seen(request("/", "Connection: close"), "status") == (404, [])
    received = exchange(listeners.balancer.ports["status"], request("/health/ready", "Connection: close"), idle_s=5)
    assert json.loads(received.answer().body)["generation"] == 1
