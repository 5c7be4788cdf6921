"""Judges what a balancer made of one case of ``requests.jsonl``: what the client got, and what the
backend saw. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tests.corpus.answers import UNREADABLE, Seen, final, read_answers
from tests.corpus.cases import Judgement, RequestCase
from tests.support.recorded import NO_COLON, Recorded

_methods = re.compile(rb"(?:^|\n)([A-Z]+) [^\r\n]* HTTP/1").findall
_SILENT = "closed without an answer"
"""Noted, but good enough: the client knows that it was refused."""


def judge(case: RequestCase, data: bytes, recorded: Sequence[Recorded], peer: str, *, is_closed: bool) -> Judgement:
    """``recorded``: what the backend saw of this case's client, whose address is ``peer``."""
    answers = read_answers(data, _request_methods(case))
    judgement = _judgement(case, answers, recorded, peer, is_closed)
    statuses = tuple(one.status for one in answers)
    return replace(judgement, statuses=statuses, requests=sum(one.is_complete for one in recorded))


def _judgement(
    case: RequestCase, answers: list[Seen], recorded: Sequence[Recorded], peer: str, is_closed: bool
) -> Judgement:
    faults = _as_reject(case, answers, recorded, is_closed) if case.expect == "reject" else None
    if faults is None:
        faults = _as_served(case, answers, recorded, peer)
    dangers = _dangers(case, recorded)
    hard = [fault for fault in faults if fault != _SILENT]
    why = tuple(faults + dangers)
    if dangers:
        return Judgement("DANGER", why)
    if not hard:
        return Judgement("pass", why)
    return Judgement("alt" if _alternative_holds(case, answers, recorded, peer, is_closed) else "FAIL", why)


def _request_methods(case: RequestCase) -> list[str]:
    found = [method.decode("ascii") for method in _methods(case.raw[:300])]
    return found if case.kind == "pipeline" else found[:1]


def _alternative_holds(
    case: RequestCase, answers: list[Seen], recorded: Sequence[Recorded], peer: str, is_closed: bool
) -> bool:
    if case.alt == "reject":
        return not [fault for fault in _as_reject(case, answers, recorded, is_closed) if fault != _SILENT]
    return bool(case.alt) and not _as_served(case, answers, recorded, peer)


def _first_status(answers: list[Seen]) -> int:
    found = final(answers)
    return found[0].status if found else 0


def _as_reject(case: RequestCase, answers: list[Seen], recorded: Sequence[Recorded], is_closed: bool) -> list[str]:
    status, complete = _first_status(answers), sum(one.is_complete for one in recorded)
    is_wanted = case.expect == "reject"
    faults = []
    if status == 0 and is_closed:
        faults.append(_SILENT)
    elif not (status in case.status if is_wanted else 400 <= status < 600):
        faults.append(f"status {status}")
    if case.close and not is_closed:
        faults.append("kept open")
    if complete not in (case.origin if is_wanted else (0,)):
        faults.append(f"backend saw {complete}")
    return faults


def _as_served(case: RequestCase, answers: list[Seen], recorded: Sequence[Recorded], peer: str) -> list[str]:
    status, complete = _first_status(answers), [one for one in recorded if one.is_complete]
    if case.expect == "reject":
        return [] if status in (200, 204) else [f"status {status}"]
    faults = [] if status in case.status else [f"status {status}"]
    if len(complete) not in case.origin:
        faults.append(f"backend saw {len(complete)}, not {case.origin}")
    if complete:
        faults += _as_seen(case, complete[0], peer)
    if case.responses is not None and len(final(answers)) != case.responses:
        faults.append(f"{len(final(answers))} answers")
    if case.no_chunked and any("transfer-encoding" in one.fields for one in final(answers)):
        faults.append("chunked to 1.0")
    if case.no_interim and any(one.is_interim for one in answers):
        faults.append("1xx to 1.0")
    if answers and answers[-1].status == UNREADABLE:
        faults.append(f"unreadable answer {answers[-1].body!r}")
    return faults


def _as_seen(case: RequestCase, first: Recorded, peer: str) -> list[str]:
    faults = []
    if case.body is not None and first.body != case.body:
        faults.append(f"body {first.body[:30]!r}")
    if case.target is not None and not _is_target(case.target, first.target):
        faults.append(f"target {first.target[:60]!r}")
    for name, wanted in case.see.items():
        if not _is_as_wanted(name, wanted, first, peer):
            faults.append(f"{name}={first.values(name)}")
    return faults


def _is_target(wanted: str, got: str) -> bool:
    allowed = wanted.removesuffix("|absolute")
    return got == allowed or (allowed != wanted and "://" in got)


def _is_as_wanted(name: str, wanted: str | None, request: Recorded, peer: str) -> bool:
    """``wanted``: alternatives between ``|``, of which some are words with a meaning."""
    if wanted is None:
        return not request.values(name)
    if name == "transfer-encoding|content-length":
        return bool(request.values("transfer-encoding") or request.values("content-length"))
    return any(_holds(word, request.values(name), peer) for word in wanted.split("|"))


def _holds(word: str, values: list[str], peer: str) -> bool:
    joined = ", ".join(values)
    last = joined.split(",")[-1].strip().strip('"')
    meanings = {
        "absent": not values,
        "present": bool(values),
        "ends-with-peer": last == peer,
        "peer": values == [peer],
        "host-quoted": re.search(r'^[^",]*;host="[^"]*"[^",]*$', joined) is not None,
        "two-lines": len(values) == 2,
        "appended": len(joined.split(",")) >= 3,
        "ours": joined.lower() != "close",
        "not-only-client": "6.6.6.6" not in joined or "," in joined,
    }
    return meanings.get(word, values == [word])


def _dangers(case: RequestCase, recorded: Sequence[Recorded]) -> list[str]:
    dangers = [f"SMUGGLED {one.target}" for one in recorded if one.is_complete and one.target in case.forbid]
    for one in recorded:
        if one.is_cut:
            continue
        names = [name for name, _ in one.fields]
        if NO_COLON in names:
            dangers.append("backend got a line without colon")
        if names.count("content-length") > 1 or ("content-length" in names and "transfer-encoding" in names):
            dangers.append("backend got double framing")
        if any(char in value for _, value in one.fields for char in "\r\n\0"):
            dangers.append("backend got CR, LF or NUL in a value")
    return dangers
