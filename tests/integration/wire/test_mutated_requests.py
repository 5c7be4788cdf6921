"""Row 24: mutated requests on the wire. The balancer does what its parser says: what is taken arrives
once and byte for byte, what is refused gets the reason's status and never arrives.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from lb.errors import REASONS
from lb.http1.request import KNOWN_METHODS
from tests.support.balancer import running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.support.raw_client import RawClient, Received
from tests.support.recorded import Recorded
from tests.unit.http1.mutations import SEEDS, mutated
from tests.unit.http1.oracles import read_ours

COUNT = 3000
SEED = 24
AT_A_TIME = 16


def test_row_24_mutated_requests_arrive_exactly_or_not_at_all() -> None:
    heads = [head for head in mutated(SEEDS, COUNT, SEED) if _can_be_sent(head)]
    peers = [f"127.3.{number // 200}.{number % 200 + 1}" for number in range(len(heads))]
    with fault_origin(answering()) as origin, running_balancer(simple_config([origin.port])) as balancer:
        with ThreadPoolExecutor(AT_A_TIME) as clients:
            received = list(clients.map(lambda one: _exchange(balancer.port, *one), zip(heads, peers, strict=True)))
        seen: dict[str, list[Recorded]] = defaultdict(list)
        for recorded in origin.requests:
            seen[recorded.value("x-forwarded-for")].append(recorded)
        for head, peer, got in zip(heads, peers, received, strict=True):
            _check(head, got, seen.pop(peer, []))
        assert not seen
        assert "Traceback" not in balancer.log()


def _can_be_sent(head: bytes) -> bool:
    """Neither waited for nor with more body than is worth sending; empty lines before a request are skipped
    by the connection, not by the parser."""
    if head.startswith(b"\r\n"):
        return False
    ours = read_ours(head)
    return ours != "incomplete" if isinstance(ours, str) else ours[1].length < 1_000_000


def _exchange(port: int, head: bytes, peer: str) -> Received:
    """Sends the head, the body it announces, and ends; so both a refusal and an answer end the connection."""
    with RawClient(port, source=peer) as client:
        client.send_pieces([_whole(head)], 0.0)
        return client.receive_until(b"\r\n\r\n")


def _whole(head: bytes) -> bytes:
    ours = read_ours(head)
    if isinstance(ours, str):
        return head
    end = head.index(b"\r\n\r\n") + 4
    length = ours[1].length
    return head[:end] + (b"0\r\n\r\n" if length < 0 else b"x" * length)


def _check(head: bytes, got: Received, seen: list[Recorded]) -> None:
    ours = read_ours(head)
    status = int(got.data.split(b" ", 2)[1]) if got.data else 0
    if status == 100:
        status = 200
    if isinstance(ours, str):
        assert (status, seen) == (REASONS[ours].status, []), (ours, head, got.data)
        return
    parsed, reading = ours
    if parsed.method not in KNOWN_METHODS:
        assert (status, seen) == (501, []), head
        return
    assert status == 200, (head, got.data)
    assert [(one.method.encode(), one.target.encode()) for one in seen] == [(parsed.method, parsed.target)], head
    assert parsed.fields.kept in seen[0].head + b"\r\n", head
    assert len(seen[0].body) == max(0, reading.length), head
