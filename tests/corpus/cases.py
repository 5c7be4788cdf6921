"""The corpora: what a client may send (``requests.jsonl``) and what a backend may answer
(``responses.jsonl``), one JSON object a line, with what RFC 9110 and 9112 make of it.

``expect``: ``reject`` (refused, and the backend sees nothing of it), ``normalise`` (served, but not
passed on as it was), ``accept``; for responses also ``truncate`` (the client must see that it was cut
off). ``alt``: another outcome that the RFC allows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["pass", "alt", "FAIL", "DANGER"]
"""DANGER: a request was smuggled, an answer split, or a connection poisoned."""

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Judgement:
    """``why`` says what was not as wanted, also where ``alt`` allows it. ``statuses``: of all answers, interim ones
    too. ``requests``: whole ones that the backend saw."""

    verdict: Verdict
    why: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    requests: int = 0

    @property
    def is_good(self) -> bool:
        return self.verdict in ("pass", "alt")

    @property
    def outcome(self) -> tuple[str, tuple[int, ...], int]:
        """What two subjects that do the same have the same of; more than one can be good."""
        return self.verdict, self.statuses, self.requests


def differing(one: Mapping[str, Judgement], other: Mapping[str, Judgement]) -> dict[str, str]:
    """The cases in which two subjects do not do the same, and what each does."""
    assert one.keys() == other.keys()
    return {name: f"{one[name]}, {other[name]}" for name in one if one[name].outcome != other[name].outcome}


@dataclass(frozen=True)
class RequestCase:
    """``origin``: how many whole requests the backend may see. ``see``: fields it must see them with.
    ``forbid``: targets it must never see. ``half_close``: the client ends its side after ``raw``."""

    id: str
    kind: str
    raw: bytes
    expect: str
    note: str
    status: tuple[int, ...]
    origin: tuple[int, ...]
    alt: str = ""
    close: bool = True
    half_close: bool = False
    forbid: tuple[str, ...] = ()
    see: dict[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    target: str | None = None
    responses: int | None = None
    no_chunked: bool = False
    no_interim: bool = False


@dataclass(frozen=True)
class ResponseCase:
    """``after``: what the backend does behind ``raw`` (keep, close, reset, hang). ``alternatives``:
    other outcomes allowed. ``count``: how often a field may stand in the answer."""

    id: str
    kind: str
    raw: bytes
    expect: str
    note: str
    status: tuple[int, ...]
    method: str
    version: str
    after: str
    alternatives: tuple[str, ...] = ()
    body: bytes | None = None
    absent: tuple[str, ...] = ()
    has: dict[str, str] = field(default_factory=dict)
    count: dict[str, int] = field(default_factory=dict)
    no_interim: bool = False


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (_HERE / name).read_text().splitlines()]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def request_cases() -> list[RequestCase]:
    return [
        RequestCase(
            id=case["id"],
            kind=case["class"],
            raw=base64.b64decode(case["raw"]),
            expect=case["expect"],
            note=case["note"],
            status=tuple(case["status"]),
            origin=tuple(case["origin"]),
            alt=case.get("alt", ""),
            close=case.get("close", True),
            half_close=case.get("half", False),
            forbid=tuple(case["forbid"]),
            see=case.get("see") or {},
            body=_bytes(case.get("body")),
            target=case.get("target"),
            responses=case.get("responses"),
            no_chunked=case.get("no_chunked", False),
            no_interim=case.get("no1xx", False),
        )
        for case in _lines("requests.jsonl")
    ]


def response_cases() -> list[ResponseCase]:
    return [
        ResponseCase(
            id=case["id"],
            kind=case["class"],
            raw=base64.b64decode(case["raw"]),
            expect=case["expect"],
            note=case["note"],
            status=tuple(case["status"]),
            method=case["method"],
            version=case["http"],
            after=case["after"],
            alternatives=tuple(case[key] for key in ("alt", "also") if key in case),
            body=_bytes(case.get("body")),
            absent=tuple(case.get("absent", ())),
            has=case.get("has", {}),
            count=case.get("count", {}),
            no_interim=case.get("no1xx", False),
        )
        for case in _lines("responses.jsonl")
    ]
