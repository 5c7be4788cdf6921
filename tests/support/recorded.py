"""Requests as a naive backend reads them: tolerant on purpose, so that what a balancer lets through
shows up here the way a sloppy server would understand it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Fields = list[tuple[str, str]]
NO_COLON = "!no-colon"
"""Name under which a field line without a colon is recorded."""


@dataclass
class Recorded:
    """One request as it arrived. ``is_complete`` turns true once its whole body is here; ``is_cut``: the
    connection ended inside the head."""

    head: bytes
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    is_complete: bool = False
    is_cut: bool = False

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        parts = self.line.split(" ")
        return parts[1] if len(parts) > 1 else ""

    @property
    def fields(self) -> Fields:
        """Names in lower case."""
        return parse_fields(self.head.split(b"\r\n")[1:])

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known == name]

    def value(self, name: str) -> str:
        """All values joined, or nothing."""
        return ", ".join(self.values(name))


def parse_fields(lines: list[bytes]) -> Fields:
    fields = []
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        fields.append((name.lower(), value.strip(" \t")) if colon else (NO_COLON, line.decode("latin-1")))
    return fields


class Ended(Exception):
    """The peer ended its sending side."""


class Reader:
    """Takes requests off a connection. ``note`` gets each as soon as its head is here, and again what
    was left over if the peer ends inside a head."""

    def __init__(self, recv: Callable[[], bytes], note: Callable[[Recorded], None]) -> None:
        self.buffer = b""
        self._recv = recv
        self._note = note

    def request(self) -> Recorded:
        """The next request, whole. Raises Ended, OSError, or ValueError for framing nobody understands."""
        request = self.head()
        self.body(request)
        return request

    def head(self) -> Recorded:
        try:
            head = self._until(b"\r\n\r\n")
        except (Ended, OSError):
            if self.buffer:
                self._note(Recorded(self.buffer, is_cut=True))
            raise
        request = Recorded(head)
        self._note(request)
        return request

    def body(self, request: Recorded) -> None:
        if "chunked" in request.value("transfer-encoding").lower():
            self._chunks(request)
        elif lengths := request.values("content-length"):
            self._take(request, int(lengths[-1]))
        request.is_complete = True

    def _chunks(self, request: Recorded) -> None:
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            self._take(request, size)
            self._need(2)
            self.buffer = self.buffer[2:]
        lines = []
        while line := self._until(b"\r\n"):
            lines.append(line)
        request.trailers = parse_fields(lines)

    def _take(self, request: Recorded, size: int) -> None:
        while size:
            if not self.buffer:
                self._more()
            part, self.buffer = self.buffer[:size], self.buffer[size:]
            request.body += part
            size -= len(part)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._more()
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def _need(self, size: int) -> None:
        while len(self.buffer) < size:
            self._more()

    def _more(self) -> None:
        data = self._recv()
        if not data:
            raise Ended
        self.buffer += data
