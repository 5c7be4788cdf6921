"""Sends the probes of the policy ``prequal``: small GETs beside the requests, on connections of their own.

Runs in a greenlet of the worker while requests come, and ends soon after they stop; no request waits for it, and it
judges nobody: a backend that fails a probe is only forgotten by ``lb.policies.probe_pool``; health is others' business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import gevent

from lb.http1.response import BadResponse, ResponseHead, find_response_head_end, parse_response
from lb.model import PrequalOptions
from lb.policies.probe_pool import ProbePool
from lb.proxy.member import Member
from lb.proxy.probe_report import probe_report
from lb.proxy.stream import Stream, connect
from lb.proxy.tls import backend_context

TICK_S = 0.01
"""A probe leaves at most so long after the request that asks for it."""
MOST_AT_ONCE = 32
FAILURES = 5
"""In a row, until it is said that a backend fails its probes."""
_BODY_BYTES = 64 * 1024
"""A longer answer costs its connection."""
_log = logging.getLogger("lb.proxy")


class ProbeFailed(Exception):
    """No usable answer in time."""


class Prober:
    """Of one pool on one worker. ``load``: requests in flight of a member, by position, as far as we know."""

    def __init__(
        self,
        members: Sequence[Member],
        options: PrequalOptions,
        probes: ProbePool,
        load: Callable[[int], int],
        random: Callable[[], float],
    ) -> None:
        self._members = members
        self._options = options
        self._probes = probes
        self._load = load
        self._random = random
        self._header = options.header.lower().encode()
        self._kept: dict[int, tuple[Any, Stream]] = {}
        """By position: the address it was made to, and the connection."""
        self._out: set[int] = set()
        """Those that have not answered yet."""
        self._hub = gevent.get_hub()

    def start(self) -> None:
        gevent.spawn(self._run)

    def _run(self) -> None:
        try:
            while self._probes.is_probing:
                for i in self._probes.due(self._random):
                    if i not in self._out and len(self._out) < MOST_AT_ONCE:
                        self._out.add(i)
                        gevent.spawn(self._probe, i)
                if not self._probes.is_probing:  # the next request starts another one, before or after our next turn
                    break
                gevent.sleep(TICK_S)
        finally:
            self._probes.is_probing = False
            while self._kept:
                self._kept.popitem()[1][1].close()

    def _probe(self, i: int) -> None:
        member = self._members[i]
        try:
            with gevent.Timeout(self._options.timeout_s, ProbeFailed("timeout")):
                head, took_s = self._ask(i, member)
        except (ProbeFailed, BadResponse, OSError, ValueError) as error:
            self._fails(i, str(error))
            return
        finally:
            self._out.discard(i)
        if self._probes.failed.pop(i, 0) >= FAILURES:
            _log.info("backend=%s prequal_probes=answered", member.name)
        report = probe_report(head.fields, self._header)
        latency_s = report.latency_s
        if latency_s is None:  # a path that is quick whatever the requests are must not make a slow backend look fast
            latency_s = max(took_s, member.latency.value(monotonic()))
        self._probes.add(i, report.inflight, latency_s, self._load(i))

    def _fails(self, i: int, reason: str) -> None:
        """Nothing else tells why an eligible backend has no requests: who answers no probe is asked only while fewer than
        two others do."""
        self._probes.forget(i)
        failed = self._probes.failed[i] = self._probes.failed.get(i, 0) + 1
        if failed == FAILURES and not self._members[i].is_closed:
            _log.warning(
                'backend=%s prequal_probes=failed path=%s reason="%s": no requests while others answer theirs',
                self._members[i].name,
                self._options.path,
                reason,
            )

    def _ask(self, i: int, member: Member) -> tuple[ResponseHead, float]:
        address, stream = self._connection(i, member)
        try:
            began = monotonic()
            stream.send(self._request(member))
            head, rest = _read_head(stream)
            took_s = monotonic() - began
            if head.status >= 500:
                raise ProbeFailed(f"status {head.status}")
            is_reusable = head.reusable and _read_body(stream, head, rest)
        except BaseException:
            stream.close()
            raise
        if is_reusable and self._probes.is_probing and not member.is_closed:
            self._kept[i] = address, stream
        else:
            stream.close()
        return head, took_s

    def _request(self, member: Member) -> bytes:
        path = self._options.path.encode("latin-1")
        return b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: lb-probe\r\nAccept: */*\r\n\r\n" % (path, member.authority)

    def _connection(self, i: int, member: Member) -> tuple[Any, Stream]:
        kept = self._kept.pop(i, None)
        if kept is not None:
            if kept[0] in member.addresses and kept[1].is_quiet():
                return kept
            kept[1].close()
        if not member.addresses:
            raise ProbeFailed("no address")
        address = member.addresses[0]
        stream = Stream(connect(self._hub, *address), self._hub)
        if member.backend.scheme == "https":
            try:
                stream.start_tls(backend_context(member.pool.tls), member.pool.tls.server_name or member.backend.host)
            except BaseException:
                stream.close()
                raise
        return address, stream


def _read_head(stream: Stream) -> tuple[ResponseHead, bytes]:
    """The final answer's head and what of the body came along."""
    buffer = b""
    while True:
        while not (end := find_response_head_end(buffer) if buffer else 0):
            data = stream.recv_later()
            if not data:
                raise ProbeFailed("closed inside the head" if buffer else "closed before an answer")
            buffer += data
        head, buffer = parse_response(buffer[:end]), buffer[end:]
        if head.status == 101:
            raise ProbeFailed("101 nobody asked for")
        if head.status >= 200:
            return head, buffer


def _read_body(stream: Stream, head: ResponseHead, rest: bytes) -> bool:
    """Whether the body was read to its exact end. One of unknown length is not worth the connection."""
    length = 0 if head.status in (204, 304) else head.fields.content_length
    if head.fields.chunked or not 0 <= length <= _BODY_BYTES:
        return False
    left = length - len(rest)
    with suppress(OSError):
        while left > 0:
            data = stream.recv()
            if not data:
                return False
            left -= len(data)
        stream.disarm()
        return left == 0 and stream.is_quiet()
    return False
