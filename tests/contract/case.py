"""One conformance case: what is sent, what the backend answers, what the client and the backend must see.

Knows no subject: a subject turns ``Case.sent`` into a request and gives back what came as ``Heard``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.contract.script import Script, Step, script
from tests.support.raw_client import Answer
from tests.support.recorded import Recorded

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Value = str | re.Pattern[str]
Values = Mapping[str, Sequence[Value]]
"""All values of a field by its lower case name, in order; none: the field must not be there."""


@dataclass(frozen=True)
class Wanted:
    """What a final answer must be. ``body`` None: any. ``to``: the method it answers."""

    status: int = 200
    body: bytes | re.Pattern[bytes] | None = b"ok"
    fields: Values = field(default_factory=dict)
    interim: tuple[int, ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    is_complete: bool = True
    to: str = "GET"

    def check(self, answer: Answer) -> None:
        assert answer.status == self.status, f"status {answer.status}, wanted {self.status}: {answer.body[:300]!r}"
        assert answer.is_complete is self.is_complete, f"complete: {answer.is_complete}, wanted {self.is_complete}"
        assert tuple(answer.interim) == self.interim, f"interim answers {answer.interim}, wanted {self.interim}"
        assert tuple(answer.trailers) == self.trailers, f"trailers {answer.trailers}, wanted {self.trailers}"
        check_fields(answer.fields, self.fields)
        if isinstance(self.body, bytes):
            assert answer.body == self.body, f"body {digest(answer.body)}, wanted {digest(self.body)}"
        elif self.body is not None:
            matched = self.body.fullmatch(answer.body)
            assert matched, f"body {answer.body!r}, wanted {self.body.pattern!r}"
            if "request_id" in matched.groupdict():
                assert [matched["request_id"].decode()] == answer.values("x-request-id")


@dataclass(frozen=True)
class Saw:
    """What a backend must have got as one request. ``raw``: bytes that must stand in its head."""

    line: str | None = None
    fields: Values = field(default_factory=dict)
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()
    raw: tuple[bytes, ...] = ()
    is_complete: bool = True

    def check(self, request: Recorded) -> None:
        assert self.line in (None, request.line), f"request line {request.line!r}, wanted {self.line!r}"
        assert request.is_complete is self.is_complete, f"complete: {request.is_complete}, wanted {self.is_complete}"
        check_fields(request.fields, self.fields)
        if self.is_complete:
            assert request.body == self.body, f"body {digest(request.body)}, wanted {digest(self.body)}"
        assert tuple(request.trailers) == self.trailers, f"trailers {request.trailers}, wanted {self.trailers}"
        for part in self.raw:
            assert part in request.head, f"{part!r} is not in {request.head!r}"


@dataclass(frozen=True)
class Case:
    """``answer`` is what the backend does with each request. ``client``: the final answers, in order;
    ``raw``: bytes that the client must get, in order. ``backend``: the requests that arrive, in order.
    ``closes``: whether the client's connection must end; if not, it must serve another request.
    ``peer``: the client's address; 127.0.0.2 is a trusted proxy."""

    id: str
    sent: Step | Script
    answer: Step | Script = OK
    client: Wanted | tuple[Wanted, ...] = Wanted()
    backend: Saw | tuple[Saw, ...] = Saw()
    raw: tuple[bytes, ...] = ()
    closes: bool = False
    peer: str = "127.0.0.1"

    @property
    def steps(self) -> Script:
        return script(self.sent)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return self.client if isinstance(self.client, tuple) else (self.client,)

    @property
    def requests(self) -> tuple[Saw, ...]:
        return self.backend if isinstance(self.backend, tuple) else (self.backend,)


@dataclass
class Heard:
    """What a client saw. ``data`` is empty and ``is_closed`` None where a subject has no connection."""

    answers: list[Answer]
    data: bytes = b""
    is_closed: bool | None = None


def check(case: Case, heard: Heard, requests: Sequence[Recorded]) -> None:
    """AssertionError says what differs from the case."""
    found = [answer.status for answer in heard.answers]
    assert len(found) == len(case.wanted), f"answers {found}, wanted {[one.status for one in case.wanted]}"
    for wanted, answer in zip(case.wanted, heard.answers, strict=True):
        wanted.check(answer)
    at = 0
    for part in case.raw:
        found_at = heard.data.find(part, at)
        assert found_at >= 0, f"{part!r} does not follow in {heard.data!r}"
        at = found_at + len(part)
    lines = [request.line for request in requests]
    assert len(lines) == len(case.requests), f"the backend saw {lines}, wanted {len(case.requests)} requests"
    for saw, request in zip(case.requests, requests, strict=True):
        saw.check(request)
    assert heard.is_closed in (None, case.closes), f"closed: {heard.is_closed}, wanted {case.closes}"


def check_fields(fields: Sequence[tuple[str, str]], wanted: Values) -> None:
    for name, values in wanted.items():
        found = [value for known, value in fields if known == name]
        matches = len(found) == len(values) and all(map(_matches, values, found))
        assert matches, f"{name}: {found}, wanted {[getattr(value, 'pattern', value) for value in values]}"


def _matches(wanted: Value, found: str) -> bool:
    return wanted == found if isinstance(wanted, str) else bool(wanted.fullmatch(found))


def digest(body: bytes) -> tuple[int, str]:
    """Size and hash: a megabyte is not shown in a failure."""
    return len(body), hashlib.sha256(body).hexdigest() if len(body) > 200 else repr(body)
