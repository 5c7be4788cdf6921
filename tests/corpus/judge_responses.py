"""Judges what a client saw of one case of ``responses.jsonl``, and of the canaries sent behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.corpus.answers import Seen, final, looks_complete, read_answers
from tests.corpus.cases import Judgement, ResponseCase

CANARY = b"canary"


def judge(case: ResponseCase, data: bytes, canaries: Sequence[bytes], *, is_closed: bool) -> Judgement:
    """``canaries``: all bytes that came back for requests on the same backend afterwards."""
    answers = read_answers(data, [case.method])
    judgement = _judgement(case, answers, data, canaries, is_closed)
    return replace(judgement, statuses=tuple(one.status for one in answers))


def _judgement(
    case: ResponseCase, answers: list[Seen], data: bytes, canaries: Sequence[bytes], is_closed: bool
) -> Judgement:
    first = (final(answers) or [Seen(0)])[0]
    faults = _faults(case, case.expect, answers, first, data, is_closed)
    dangers = _dangers(first, data, canaries)
    why = tuple(faults + dangers)
    if dangers:
        return Judgement("DANGER", why)
    if not faults:
        return Judgement("pass")
    holds = any(not _faults(case, other, answers, first, data, is_closed) for other in case.alternatives)
    return Judgement("alt" if holds else "FAIL", why)


def _faults(
    case: ResponseCase, outcome: str, answers: list[Seen], first: Seen, data: bytes, is_closed: bool
) -> list[str]:
    if outcome == "reject":
        allowed = case.status if case.expect == "reject" else (502,)
        return [] if first.status in allowed else [f"status {first.status}"]
    if outcome == "truncate":
        return _truncation_faults(case, first, data, is_closed)
    return _served_faults(case, answers, first)


def _truncation_faults(case: ResponseCase, first: Seen, data: bytes, is_closed: bool) -> list[str]:
    if first.status in (502, 504) or (first.status == 0 and is_closed):
        return []
    faults = [] if is_closed else ["left open"]
    if looks_complete(first, data, case.method, is_closed=is_closed):
        faults.append(f"looks complete: {first.status} {first.body[:30]!r}")
    return faults


def _served_faults(case: ResponseCase, answers: list[Seen], first: Seen) -> list[str]:
    allowed = case.status if case.expect != "reject" else (200,)
    faults = [] if first.status in allowed else [f"status {first.status}"]
    if len(final(answers)) > 1:
        faults.append(f"{len(final(answers))} answers")
    if case.body is not None and first.body != case.body:
        faults.append(f"body {first.body[:30]!r}")
    faults += [f"has {name}" for name in case.absent if name in first.fields]
    faults += [
        f"{name}={first.fields.get(name)}" for name, value in case.has.items() if first.fields.get(name) != [value]
    ]
    for name, wanted in case.count.items():
        if len(first.fields.get(name, [])) != wanted:
            faults.append(f"{len(first.fields.get(name, []))} x {name}")
    if case.no_interim and len(final(answers)) != len(answers):
        faults.append("1xx to 1.0")
    return faults


def _dangers(first: Seen, data: bytes, canaries: Sequence[bytes]) -> list[str]:
    head = data.split(b"\r\n\r\n")[0].replace(b"\r\n", b"")
    dangers = []
    if any(byte in head for byte in b"\r\n\0"):
        dangers.append("client got CR, LF or NUL in a head")
    lengths = first.fields.get("content-length", [])
    if len(lengths) > 1 or (lengths and "transfer-encoding" in first.fields):
        dangers.append("client got double framing")
    for canary in canaries:
        if not canary.endswith(CANARY) and b"\r\ncanary\r\n" not in canary:
            dangers.append(f"POISONED canary {canary[:60]!r}")
    return dangers
