"""A client that sends exact bytes and reads answers strictly (h11): what is not HTTP/1.1 raises."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import h11


@dataclass
class Answer:
    """One final answer. ``is_complete``: its framing says that nothing is missing."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    is_complete: bool = False
    interim: list[int] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known == name]

    def value(self, name: str) -> str:
        return ", ".join(self.values(name))


@dataclass
class Received:
    """Everything that came back. ``was_reset``: the end was an RST."""

    data: bytes
    is_closed: bool
    was_reset: bool = False
    elapsed_s: float = 0.0

    def answers(self, *methods: str) -> list[Answer]:
        """Parsed strictly; raises h11.RemoteProtocolError for what is not HTTP/1.1."""
        return parse_answers(self.data, methods or ("GET",), is_closed=self.is_closed and not self.was_reset)

    def answer(self, method: str = "GET") -> Answer:
        """The only final answer."""
        answers = self.answers(method)
        assert len(answers) == 1, self.data
        return answers[0]


def _text(fields: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


def parse_answers(data: bytes, methods: Sequence[str], *, is_closed: bool) -> list[Answer]:
    """One answer per method, as far as they came; a cut one has ``is_complete`` false."""
    answers: list[Answer] = []
    for method in methods:
        if not data:
            break
        answer, data = _parse_answer(data, method, is_closed=is_closed)
        if answer is None:
            break
        answers.append(answer)
    return answers


def _parse_answer(data: bytes, method: str, *, is_closed: bool) -> tuple[Answer | None, bytes]:
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    answer, interim = None, []
    while True:
        event = parser.next_event()
        if event is h11.NEED_DATA:
            if not is_closed:
                break
            with contextlib.suppress(h11.RemoteProtocolError):
                parser.receive_data(b"")
                if isinstance(parser.next_event(), h11.EndOfMessage) and answer:
                    answer.is_complete = True
            break
        if isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            answer = Answer(event.status_code, _text(list(event.headers)), interim=interim)
        elif isinstance(event, h11.Data) and answer:
            answer.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and answer:
            answer.is_complete = True
            answer.trailers = _text(list(event.headers))
            break
        else:
            break
    return answer, parser.trailing_data[0]


class RawClient:
    """One connection. ``source`` is the loopback address it comes from."""

    def __init__(self, port: int, *, source: str = "", receive_buffer_bytes: int = 0) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            if source:
                self.sock.bind((source, 0))
            self.sock.connect(("127.0.0.1", port))
        except OSError:
            self.sock.close()
            raise

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_pieces(self, pieces: Sequence[bytes], pause_s: float) -> None:
        """Until the other side has had enough."""
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.sock.sendall(piece)
                time.sleep(pause_s)

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Leaves with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def receive_until(self, mark: bytes, deadline_s: float = 10.0) -> Received:
        """Until ``mark`` has come, the connection ends, or time is up."""
        return self._receive(deadline_s, deadline_s, mark)

    def receive(self, idle_s: float = 0.5, deadline_s: float = 15.0, first_s: float | None = None) -> Received:
        """Until the connection ends, or nothing came for ``idle_s`` (``first_s``: before the first byte)."""
        return self._receive(idle_s, deadline_s, b"", first_s)

    def _receive(self, idle_s: float, deadline_s: float, mark: bytes, first_s: float | None = None) -> Received:
        started = time.monotonic()
        parts: list[bytes] = []
        received = Received(b"", is_closed=False)
        while time.monotonic() < started + deadline_s:
            self.sock.settimeout(idle_s if parts or first_s is None else first_s)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                break
            except OSError:
                received.is_closed = received.was_reset = True
                break
            if not data:
                received.is_closed = True
                break
            parts.append(data)
            if mark and mark in b"".join(parts):
                break
        received.data = b"".join(parts)
        received.elapsed_s = time.monotonic() - started
        return received


def exchange(
    port: int, raw: bytes, *, idle_s: float = 0.5, deadline_s: float = 15.0, first_s: float = 10.0
) -> Received:
    """Sends ``raw`` on a new connection and reads until nothing more comes."""
    with RawClient(port) as client:
        client.send(raw)
        return client.receive(idle_s, deadline_s, first_s)


def get(
    port: int, path: str = "/", *, method: str = "GET", body: bytes | None = None, fields: Sequence[str] = ()
) -> Answer:
    """One request on a connection of its own (``Connection: close``), and its answer."""
    received = exchange(port, request(path, method=method, body=body, fields=["Connection: close", *fields]), idle_s=10)
    return received.answer(method)


def request(path: str = "/", *, method: str = "GET", body: bytes | None = None, fields: Sequence[str] = ()) -> bytes:
    """A request's bytes; ``fields`` are whole lines without CRLF."""
    lines = [f"{method} {path} HTTP/1.1", "Host: lb.test", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
