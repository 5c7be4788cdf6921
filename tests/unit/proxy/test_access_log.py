"""One line per request, whole and readable whatever the client sent; and never a request that waits for it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import socket
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.http1.forwarded import Caller
from lb.http1.request import NO_HEAD, RequestHead, parse_fields
from lb.model import Route
from lb.proxy.access_log import BATCH_LINES, MAX_TEXT_BYTES, AccessLogWriter, combined_text, json_text
from lb.proxy.body import InputBody, WireBody
from lb.proxy.deadlines import Deadline
from lb.proxy.exchange import Exchange
from lb.proxy.routes import LiveRoute, healthy
from lb.state.layout import W_LOG_DROPPED
from tests.support.scripted import ScriptedStream, directory, head_of
from tests.unit.proxy.live import IDS

Style = Literal["json", "combined"]


def finished(head: RequestHead, *, client: bytes = b"203.0.113.9", **said: Any) -> Exchange:
    exchange = Exchange(head, Caller(client, b"http", b"", b"", b"", b""), IDS, Deadline(None), 100.0)
    exchange.ended = 100.25
    exchange.status = 200
    for name, value in said.items():
        setattr(exchange, name, value)
    return exchange


@pytest.fixture
def counters() -> memoryview:
    return memoryview(array("q", bytes(8 * 64)))


@pytest.fixture
def log(tmp_path: Path, counters: memoryview) -> Iterator[Callable[[Style], AccessLogWriter]]:
    made: list[AccessLogWriter] = []

    def open_log(style: Style = "json") -> AccessLogWriter:
        made.append(AccessLogWriter(str(tmp_path / "access.log"), style, counters))
        return made[-1]

    yield open_log
    for writer in made:
        writer.close()


def lines_of(tmp_path: Path) -> list[bytes]:
    data = (tmp_path / "access.log").read_bytes()
    assert data.endswith(b"\n")
    return data[:-1].split(b"\n")


def only_line(writer: AccessLogWriter, exchange: Exchange, tmp_path: Path) -> bytes:
    writer.add(exchange)
    writer.flush()
    (line,) = lines_of(tmp_path)
    return line


# --- what a line says


def test_a_line_says_who_what_where_and_how_long(log: Any, tmp_path: Path) -> None:
    route = Route("api", "pool", pool="web")
    exchange = finished(
        head_of("GET /a?b HTTP/1.1"),
        route=LiveRoute(route, directory([]).of("x"), None, healthy, "", frozenset()),
        member=SimpleNamespace(name="web/b1"),
        policy="round_robin",
        attempts=2,
        bytes_in=3,
        bytes_out=4,
        queued_s=0.05,
        connect_s=0.001,
        first_byte_at=100.125,
    )
    line = json.loads(only_line(log(), exchange, tmp_path))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "client": "203.0.113.9", "method": "GET", "host": "lb.test", "target": "/a?b", "version": "1.1", "status": 200,
        "reason": "", "route": "api", "backend": "web/b1", "policy": "round_robin", "attempts": 2, "bytes_in": 3,
        "bytes_out": 4, "queue_us": 50_000, "connect_us": 1000, "first_byte_us": 125_000, "total_us": 250_000,
        "request_id": IDS[0].decode(),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_standard_output_that_nobody_reads_stalls_nobody(kind: str) -> None:
    """In a process of its own, for its descriptor 1: far more lines than the reader's side holds."""
    ours, theirs = os.pipe() if kind == "pipe" else [end.detach() for end in socket.socketpair()]
    program = (
        "from lb.proxy.access_log import AccessLogWriter\n"
        "from lb.proxy.cells import private_cells\n"
        "from lb.state.layout import W_LOG_DROPPED\n"
        "from tests.unit.proxy.test_access_log import NO_HEAD, finished\n"
        "counters = private_cells().counters\n"
        "log = AccessLogWriter('-', 'json', counters)\n"
        "for _ in range(5000): log.add(finished(NO_HEAD))\n"
        "log.flush()\n"
        "raise SystemExit(0 if 0 < counters[W_LOG_DROPPED] < 5000 else 3)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=theirs, timeout=30, check=False)
    os.close(theirs)
    with open(ours, "rb") as reader:
        first = reader.readline()
    assert done.returncode == 0
    assert json.loads(first)["status"] == 200


def test_what_was_no_request_has_a_line_too(log: Any, tmp_path: Path) -> None:
    line = json.loads(only_line(log(), finished(NO_HEAD, status=400, reason="bad_request"), tmp_path))
    assert (line["status"], line["reason"], line["target"], line["route"]) == (400, "bad_request", None, None)
    assert (line["method"], line["host"], line["version"]) == (None, None, None)
    assert line["first_byte_us"] is None


def test_the_id_that_a_trusted_proxy_gave_is_the_one_in_the_log(log: Any, tmp_path: Path) -> None:
    """The backend logs that one as well: a request must be found under one id."""
    exchange = finished(head_of())
    exchange.caller = exchange.caller._replace(request_id=b"given-by-proxy")
    assert json.loads(only_line(log(), exchange, tmp_path))["request_id"] == "given-by-proxy"


def test_combined_is_what_every_tool_reads(log: Any, tmp_path: Path) -> None:
    head = head_of("GET /a HTTP/1.0", 'User-Agent: Mozilla/5.0 "x"', "Referer: http://r.test/")
    line = only_line(log("combined"), finished(head, status=404, bytes_out=9), tmp_path)
    assert re.fullmatch(
        rb'203\.0\.113\.9 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /a HTTP/1\.0" 404 9 '
        rb'"http://r\.test/" "Mozilla/5\.0 \\x22x\\x22" [!-~]+(?: [!-~]+){8}',
        line,
    )


def test_combined_goes_on_with_what_was_done_and_how_long_it_took(log: Any, tmp_path: Path) -> None:
    route = Route("all the rest", "pool", pool="web")
    exchange = finished(
        head_of(),
        route=LiveRoute(route, directory([]).of("x"), None, healthy, "", frozenset()),
        member=SimpleNamespace(name="web/b1"),
        attempts=2,
        reason="backend_reset",
        queued_s=0.05,
        connect_s=0.001,
        first_byte_at=100.125,
    )
    line = only_line(log("combined"), exchange, tmp_path)
    assert line.endswith(rb'"-" "-" all\x20the\x20rest web/b1 2 backend_reset 1000 125000 250000 ' + IDS[0] + b" 50000")


def test_combined_of_what_was_no_request(log: Any, tmp_path: Path) -> None:
    assert only_line(log("combined"), finished(NO_HEAD, client=b"", status=400), tmp_path).endswith(
        b'] "-" 400 0 "-" "-" - - - - - - 250000 ' + IDS[0] + b" -"
    )


# --- what is kept of a request until its line is written


@pytest.mark.parametrize("style", ["json", "combined"])
def test_bodies_do_not_wait_for_their_line(style: Style, log: Any, tmp_path: Path) -> None:
    head = head_of("POST /a HTTP/1.1", "Content-Length: 60000", "User-Agent: curl/8")
    body = WireBody(ScriptedStream(), head.fields)  # type: ignore[arg-type]
    body.start(bytes(10_000))
    exchange = finished(head, body=body, interim=print, bytes_in=10_000, reason="client_gone")
    writer = log(style)
    writer.add(exchange)
    assert (exchange.body, exchange.interim) == (None, None)
    assert (exchange.head.fields.block == b"") is (style == "json"), "what only the other style tells"
    writer.flush()
    assert (b'"bytes_in":10000' if style == "json" else b'"curl/8"') in (tmp_path / "access.log").read_bytes()


@pytest.mark.parametrize("length", [3, 4])
def test_a_body_that_a_wsgi_server_still_reads_stays(length: int, log: Any) -> None:
    """``lb.server.wsgi`` waits for it when the answer is out."""
    body = InputBody(io.BytesIO(b"abc"), length)
    with contextlib.suppress(BlockingIOError):
        body.stream.recv_now(3)
    body.stream.settle()
    assert body.read()
    exchange = finished(head_of(), body=body)
    log().add(exchange)
    assert exchange.body is (None if length == 3 else body)


# --- hostile bytes


HOSTILE = st.binary(max_size=60) | st.text(alphabet='a"\\\x00\x07\x1b\x7f\x80\x85\xff\r\n\t', max_size=30).map(
    lambda text: text.encode("latin-1")
)


def hostile_head(target: bytes, host: bytes, agent: bytes) -> RequestHead:
    """As no parser of ours would make one."""
    fields = parse_fields(b"")
    fields.block = b"User-Agent: " + agent.replace(b"\r\n", b"") + b"\r\n"
    return RequestHead(b"GET", target, 1, host, fields)


@given(target=HOSTILE, host=HOSTILE, client=HOSTILE, agent=HOSTILE, style=st.sampled_from(["json", "combined"]))
def test_every_line_is_one_readable_line(
    tmp_path_factory: pytest.TempPathFactory, target: bytes, host: bytes, client: bytes, agent: bytes, style: Style
) -> None:
    folder = tmp_path_factory.mktemp("log")
    writer = AccessLogWriter(str(folder / "access.log"), style, memoryview(array("q", bytes(512))))
    try:
        line = only_line(writer, finished(hostile_head(target, host, agent), client=client), folder)
    finally:
        writer.close()
    assert re.fullmatch(rb"[\x20-\x7e]*", line), "a raw control byte"
    if style == "json":
        said = json.loads(line)
        assert (said["target"], said["host"], said["client"]) == (
            target.decode("latin-1"), host.decode("latin-1"), client.decode("latin-1")
        )  # fmt: skip


@pytest.mark.parametrize("text", [json_text, combined_text])
@pytest.mark.parametrize("byte", [b"a", b"\x00", b'"'])
def test_a_text_has_an_end(text: Callable[[bytes], str], byte: bytes) -> None:
    assert len(text(byte * 100_000)) <= 6 * MAX_TEXT_BYTES + 2


# --- the file


def test_lines_are_written_in_batches(log: Any, tmp_path: Path) -> None:
    writer = log()
    for _ in range(BATCH_LINES - 1):
        writer.add(finished(head_of()))
    assert (tmp_path / "access.log").read_bytes() == b""
    writer.add(finished(head_of()))
    assert len(lines_of(tmp_path)) == BATCH_LINES


def test_closing_writes_the_rest(log: Any, tmp_path: Path) -> None:
    writer = log()
    writer.add(finished(head_of()))
    writer.close()
    writer.close()
    assert len(lines_of(tmp_path)) == 1


def test_no_path_is_no_log(counters: memoryview) -> None:
    writer = AccessLogWriter("", "json", counters)
    for _ in range(2 * BATCH_LINES):
        writer.add(finished(head_of()))
    writer.flush()
    writer.close()
    assert counters[W_LOG_DROPPED] == 0


@pytest.mark.parametrize("path", ["/dev/full", "/nowhere/at/all.log"])
def test_lines_that_cannot_be_written_are_counted(path: str, counters: memoryview) -> None:
    writer = AccessLogWriter(path, "json", counters)
    for _ in range(3):
        writer.add(finished(head_of()))
    writer.flush()
    assert counters[W_LOG_DROPPED] == 3
    writer.close()


def test_a_file_that_can_be_opened_later_is(tmp_path: Path, counters: memoryview) -> None:
    writer = AccessLogWriter(str(tmp_path / "later" / "access.log"), "json", counters)
    (tmp_path / "later").mkdir()
    writer.add(finished(head_of()))
    writer.close()
    assert len(lines_of(tmp_path / "later")) == 1
    assert counters[W_LOG_DROPPED] == 0


def test_after_a_rotation_the_new_file_is_written(log: Any, tmp_path: Path) -> None:
    writer = log()
    writer.add(finished(head_of("GET /old HTTP/1.1")))
    writer.flush()
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    writer.open()
    assert b"/new" in only_line(writer, finished(head_of("GET /new HTTP/1.1")), tmp_path)
    assert b"/old" in (tmp_path / "access.log.1").read_bytes()


def test_a_disk_that_takes_half_a_line_does_not_spoil_the_next(log: Any, tmp_path: Path, counters: memoryview) -> None:
    """A nearly full disk takes a part of a write without an error."""
    writer = log()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for path in ("/first", "/second", "/third"):
        writer.add(finished(head_of(f"GET {path} HTTP/1.1")))
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        writer.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.add(finished(head_of("GET /fourth HTTP/1.1")))
    writer.flush()
    written = [json.loads(line)["target"] for line in lines_of(tmp_path)]
    assert written == ["/first", "/second", "/fourth"]
    assert counters[W_LOG_DROPPED] == 1


@pytest.mark.parametrize("rotation", ["moved", "removed", "moved and made anew"])
def test_a_rotation_needs_no_signal(log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotation: str) -> None:
    monkeypatch.setattr("lb.proxy.access_log._LOOK_EVERY_S", 0.0)
    writer, path = log(), tmp_path / "access.log"
    writer.add(finished(NO_HEAD, status=400))
    writer.flush()
    if rotation == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "access.log.1")
    if rotation == "moved and made anew":
        path.touch()
    writer.add(finished(NO_HEAD, status=408))
    writer.flush()
    assert [json.loads(line)["status"] for line in path.read_text().splitlines()] == [408]
    if rotation != "removed":
        assert len((tmp_path / "access.log.1").read_text().splitlines()) == 1
