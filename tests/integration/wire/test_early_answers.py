"""Row 48: 10 MB on their way, and the backend has answered at the head and left. Over TLS too, on both paths."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.balancer import running_balancer, simple_config
from tests.support.behaviours import refusing_early
from tests.support.certificates import self_signed
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.ports import free_ports
from tests.support.raw_client import parse_answers, request
from tests.support.scale import MIB
from tests.support.waiting import wait_for

UPLOAD_BYTES = 10 * MIB
PIECE = b"x" * 65536
NAME = "lb.test"
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def origin() -> Iterator[FaultOrigin]:
    with fault_origin(refusing_early()) as opened:
        yield opened


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return self_signed(tmp_path_factory.mktemp("tls"), NAME)


@pytest.fixture(scope="module")
def worker_port(origin: FaultOrigin, certificate: tuple[str, str]) -> Iterator[int]:
    """Of a TLS listener of ours."""
    cert, key = certificate
    secured = {"tls": {"cert": cert, "key": key}}
    with running_balancer({**simple_config([origin.port]), "listeners": {"secured": secured}}) as balancer:
        yield balancer.ports["secured"]
        assert "Traceback" not in balancer.log()


@pytest.fixture(scope="module")
def wsgi_port(
    origin: FaultOrigin, certificate: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """Of a stock gunicorn that does TLS itself."""
    folder = tmp_path_factory.mktemp("stock")
    file = folder / "lb.yaml"
    file.write_text(json.dumps({**simple_config([origin.port]), "state": {"dir": str(folder / "state")}}))
    (port,) = free_ports(1)
    options = ("-k", "gevent", "-b", f"127.0.0.1:{port}", "--http-parser", "python", "--no-control-socket")
    secured = ("--certfile", certificate[0], "--keyfile", certificate[1])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "gunicorn", *options, *secured, "lb.wsgi:app"),
            env={**os.environ, "LB_CONFIG": str(file)},
            stderr=log,
        )
    try:
        wait_for("a gunicorn that serves", lambda: process.poll() is not None or serves(port))
        yield port
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(10)
        with contextlib.suppress(OSError, ValueError, KeyError):
            os.unlink(json.loads((folder / "state" / "snapshot.json").read_text())["segment"])
    assert "Traceback" not in (folder / "log").read_text()


def serves(port: int) -> bool:
    try:
        with connected(port):
            return True
    except OSError:
        return False


@pytest.fixture(params=["worker", "wsgi"])
def port(request: pytest.FixtureRequest) -> int:
    found: int = request.getfixturevalue(f"{request.param}_port")
    return found


@pytest.mark.parametrize("framing", [f"Content-Length: {UPLOAD_BYTES}", "Transfer-Encoding: chunked"])
def test_row_48_an_early_answer_reaches_a_tls_client_that_still_uploads(
    port: int, origin: FaultOrigin, framing: str
) -> None:
    seen = len(origin.requests)
    with connected(port) as client:
        client.sendall(request("/", method="POST", fields=[framing]))
        sent = upload(client, is_chunked="chunked" in framing)
        data = rest_of(client)
    (answer,) = parse_answers(data, ["POST"], is_closed=True)
    assert (answer.status, answer.body, answer.is_complete) == (413, b"no\n", True)
    assert sent, "the answer was there before the upload had begun"
    assert len(origin.requests) == seen + 1, "a POST is never sent twice"
    assert not origin.requests[-1].is_complete


@contextlib.contextmanager
def connected(port: int) -> Iterator[ssl.SSLSocket]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE_S) as sock,
        context.wrap_socket(sock, server_hostname=NAME) as client,
    ):
        yield client


def upload(client: ssl.SSLSocket, *, is_chunked: bool) -> int:
    """Bytes that the other side took, all of them or until it had had enough."""
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if is_chunked else PIECE
    sent = 0
    with contextlib.suppress(OSError):
        while sent < UPLOAD_BYTES:
            client.sendall(piece)
            sent += len(PIECE)
        client.sendall(b"0\r\n\r\n" if is_chunked else b"")
    return sent


def rest_of(client: ssl.SSLSocket) -> bytes:
    """Everything until the connection ends, however it does."""
    data = b""
    with contextlib.suppress(OSError):
        while piece := client.recv(65536):
            data += piece
    return data
