"""Sends the cases of ``requests.jsonl`` through a balancer, many at a time.

Every case's client has a loopback address of its own, and the balancer tells the backend that address
in X-Forwarded-For: that is how a recorded request finds its case, with the case's bytes untouched.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from tests.corpus.cases import Judgement, RequestCase
from tests.corpus.judge_requests import judge
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin
from tests.support.raw_client import RawClient, Received
from tests.support.recorded import Recorded

Mode = Literal["all", "lines", "bytes"]
AT_A_TIME = 24
BYTEWISE_MAX_BYTES = 3000
"""Longer cases are sent by lines in mode ``bytes``, too."""
CLOSE_WAIT_S = 4.0
"""How long a connection that should be closed may take; one that should stay is looked at for ``IDLE_S``."""
FIRST_S = 4.0
IDLE_S = 0.4
PAUSE_S = {"all": 0.0, "lines": 0.002, "bytes": 0.0005}
"""Between two pieces, so that they arrive as two; less for cases of many, which take ``LONGEST_SEND_S`` together."""
LONGEST_SEND_S = 1.0


def run(port: int, origin: FaultOrigin, cases: Sequence[RequestCase], mode: Mode) -> dict[str, Judgement]:
    """Judgements by case id. ``origin`` must be the only backend of the balancer at ``port``.

    What reached the backend and belongs to no case is judged, too, under the id ``nobody``.
    """
    origin.serve(answering())
    origin.requests.clear()
    peers = {case.id: f"127.1.{number // 200}.{number % 200 + 1}" for number, case in enumerate(cases)}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        received = list(pool.map(lambda case: _send(port, case, peers[case.id], mode), cases))
    time.sleep(0.1)  # nothing to wait for: the wanted outcome is that nothing more reaches the backend
    seen = _by_peer(origin.requests)
    judgements = {
        case.id: judge(case, got.data, seen.pop(peers[case.id], []), peers[case.id], is_closed=got.is_closed)
        for case, got in zip(cases, received, strict=True)
    }
    if seen:
        strays = [one.head[:100] for recorded in seen.values() for one in recorded]
        judgements["nobody"] = Judgement("DANGER", tuple(f"backend got {head!r}" for head in strays))
    return judgements


def _send(port: int, case: RequestCase, peer: str, mode: Mode) -> Received:
    with RawClient(port, source=peer) as client:
        pieces = _pieces(case.raw, mode)
        client.send_pieces(pieces, min(PAUSE_S[mode], LONGEST_SEND_S / len(pieces)))
        if case.half_close:
            client.half_close()
        should_close = case.close and (case.expect == "reject" or case.alt == "reject")
        return client.receive(idle_s=CLOSE_WAIT_S if should_close else IDLE_S, first_s=FIRST_S)


def _pieces(raw: bytes, mode: Mode) -> list[bytes]:
    if mode == "all":
        return [raw]
    if mode == "bytes" and len(raw) < BYTEWISE_MAX_BYTES:
        return [raw[at : at + 1] for at in range(len(raw))]
    return re.findall(rb"[^\n]*\n|[^\n]+", raw)


def _by_peer(recorded: Sequence[Recorded]) -> dict[str, list[Recorded]]:
    found: dict[str, list[Recorded]] = defaultdict(list)
    for one in recorded:
        found[one.value("x-forwarded-for").split(",")[-1].strip()].append(one)
    return found
