"""Answers as a tolerant client reads them: a judge must be able to look at what is not HTTP, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

UNREADABLE = -1
"""Status of bytes that are no answer."""
_match_status = re.compile(rb"HTTP/1\.[01] (\d{3})").match
_ends_chunked = re.compile(rb"\r\n0+(;[^\r\n]*)?\r\n([^\r\n]+\r\n)*\r\n$").search
_is_chunk_size = re.compile(rb"[0-9A-Fa-f]+").match


@dataclass
class Seen:
    """Field names in lower case; the body as far as it came."""

    status: int
    fields: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_interim(self) -> bool:
        return 100 <= self.status < 200


def read_answers(data: bytes, methods: Sequence[str]) -> list[Seen]:
    """All answers in ``data``, interim ones too; ``methods`` are those of the requests, in order (then GET)."""
    left = list(methods)
    answers: list[Seen] = []
    at = 0
    while at < len(data):
        end = data.find(b"\r\n\r\n", at)
        matched = _match_status(data, at)
        if end < 0 or not matched:
            answers.append(Seen(UNREADABLE, body=data[at : at + 60]))
            break
        seen = Seen(int(matched[1]), _fields(data[at:end]))
        answers.append(seen)
        at = end + 4
        if not seen.is_interim:
            method = left.pop(0) if left else "GET"
            seen.body, at = _body(seen, data, at, has_body=method != "HEAD" and seen.status not in (204, 304))
    return answers


def final(answers: Sequence[Seen]) -> list[Seen]:
    return [seen for seen in answers if not seen.is_interim]


def looks_complete(seen: Seen, data: bytes, method: str, *, is_closed: bool) -> bool | None:
    """Whether a client would take the body for whole; None where there is none to judge."""
    if seen.status <= 0 or method == "HEAD" or seen.status in (204, 304):
        return None
    if lengths := seen.fields.get("content-length"):
        return lengths[0].isdigit() and len(seen.body) == int(lengths[0])
    if "transfer-encoding" in seen.fields:
        return bool(_ends_chunked(data))
    return is_closed


def _fields(head: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        fields.setdefault(name.lower(), []).append(value.strip(" \t"))
    return fields


def _body(seen: Seen, data: bytes, at: int, *, has_body: bool) -> tuple[bytes, int]:
    if not has_body:
        return b"", at
    if "chunked" in ",".join(seen.fields.get("transfer-encoding", [])).lower():
        return _chunked_body(data, at)
    if lengths := seen.fields.get("content-length"):
        end = at + int(lengths[0])
        return data[at:end], end
    return data[at:], len(data)


def _chunked_body(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while True:
        end = data.find(b"\r\n", at)
        size = _is_chunk_size(data, at)
        if end < 0 or not size:
            return body, len(data)
        count = int(size[0], 16)
        if not count:
            return body, _behind_trailers(data, end)
        body += data[end + 2 : end + 2 + count]
        at = end + 2 + count + 2


def _behind_trailers(data: bytes, end: int) -> int:
    found = data.find(b"\r\n\r\n", end)
    return len(data) if found < 0 else found + 4
