"""Who asked, and what we tell the backend about it: X-Forwarded-*, Forwarded (RFC 7239), X-Real-IP,
Via (RFC 9110 section 7.6.3), X-Request-Id and traceparent (W3C Trace Context).

Pure. What a client says about itself is believed only when its peer address is trusted; from
anybody else those fields are overwritten, never appended to.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

from lb.http1.request import RequestFields

VIA = b"1.1 lb"
MOST_PASSES = 8
"""A request that has come through so many of us goes in circles. Nobody has as many tiers, and each round is a request."""
_MAX_HOPS = 64
_MAX_PARTS = 4 * _MAX_HOPS
"""Empty ones too; a client can send tens of thousands through a proxy that is trusted."""
_is_request_id = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,128}").fullmatch
_is_traceparent = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_is_plain_name = re.compile(rb"[A-Za-z0-9._-]+").fullmatch
"""Of a host: all that may stand in Forwarded without quotes and without being taken for more (RFC 7239 section 4)."""
_has_whole_quotes = re.compile(rb'[^"\\]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"\\]*)*').fullmatch
_is_host = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,255}").fullmatch


_TRACE_NAMES = (b"traceparent", b"tracestate")
PASSED_ON = b"passed on"
"""In the place of a ``Caller``'s trace: traces are none of our business."""


class TrustedProxies:
    """Addresses whose forwarded fields are believed. Answers are remembered (bounded).

    ``makes_traces``: whether traces are continued or started; if not, what anybody says of a trace is passed on.
    """

    def __init__(self, networks: Iterable[str], *, makes_traces: bool = True) -> None:
        self.makes_traces = makes_traces
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]
        self._known: dict[bytes, bool] = {}

    def __contains__(self, address: bytes) -> bool:
        if not self._networks:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) > 10_000:
                self._known.clear()
            known = self._known[address] = self._look_up(address)
        return known

    def _look_up(self, address: bytes) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def parse_address(text: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as it stands in forwarded fields: with port, brackets or quotes, or None."""
    text = text.strip(b' \t"')
    if b"%" in text:  # a zone means nothing elsewhere, and may be any text
        return None
    if text[:1] == b"[":
        text = text[1:].partition(b"]")[0]
    elif text.count(b":") == 1:
        text = text.partition(b":")[0]
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


class Caller(NamedTuple):
    """The client behind all trusted proxies, and the lines that tell a backend so.

    ``lines`` are ready to send and do not change over a connection's repeated requests;
    the request id and trace are added per request.
    """

    address: bytes
    scheme: bytes
    lines: bytes
    request_id: bytes
    """Of a trusted peer; empty: we make one."""
    trace: bytes
    """A trusted peer's ``traceparent`` value; empty: we start one; ``PASSED_ON``: what was said is among ``lines``."""
    tracestate: bytes


def describe(fields: RequestFields, authority: bytes, peer: bytes, scheme: bytes, trusted: TrustedProxies) -> Caller:
    """Works out who is asking. ``peer`` is the socket's address (empty for a unix socket)."""
    identity = fields.identity or {}
    if not identity or peer not in trusted:
        caller = _untrusted(authority, peer, scheme, identity.get(b"via", b""))
    else:
        caller = _believed(identity, authority, peer, scheme, trusted)
    return caller if trusted.makes_traces else _with_trace_passed_on(caller, identity)


def _with_trace_passed_on(caller: Caller, identity: dict[bytes, bytes]) -> Caller:
    said = b"".join(b"%b: %b\r\n" % (name, identity[name]) for name in _TRACE_NAMES if name in identity)
    return caller._replace(lines=caller.lines + said, trace=PASSED_ON, tracestate=b"")


def _believed(
    identity: dict[bytes, bytes], authority: bytes, peer: bytes, scheme: bytes, trusted: TrustedProxies
) -> Caller:
    """What a trusted peer says, as far as it is fit to be passed on."""
    said_hops = identity.get(b"x-forwarded-for", b"").rsplit(b",", _MAX_PARTS)[-_MAX_PARTS:]
    hops = [hop for said in said_hops if (hop := said.strip(b" \t"))][-_MAX_HOPS:]
    client, known_hops = _rightmost_untrusted(hops, peer, trusted)
    said_scheme = identity.get(b"x-forwarded-proto", b"").lower()
    scheme = said_scheme if said_scheme in (b"http", b"https") else scheme
    said_host = identity.get(b"x-forwarded-host", b"")
    host = said_host if _is_host(said_host) else authority
    request_id = identity.get(b"x-request-id", b"")
    trace = identity.get(b"traceparent", b"")
    has_trace = bool(_is_traceparent(trace))
    return Caller(
        client,
        scheme,
        _lines(b", ".join([*known_hops, peer]), client, peer, host, scheme, identity),
        request_id if _is_request_id(request_id) else b"",
        trace if has_trace else b"",
        identity.get(b"tracestate", b"") if has_trace else b"",
    )


def _untrusted(authority: bytes, peer: bytes, scheme: bytes, via: bytes) -> Caller:
    lines = _lines(peer, peer, peer, authority, scheme, {b"via": via} if via else {})
    return Caller(peer, scheme, lines, b"", b"", b"")


def _rightmost_untrusted(hops: list[bytes], peer: bytes, trusted: TrustedProxies) -> tuple[bytes, list[bytes]]:
    """The nearest address that is no trusted proxy, and the hops that are fit to be passed on."""
    client = peer
    readable = [hop if (address := parse_address(hop)) is None else str(address).encode() for hop in hops]
    known = [hop for hop in readable if _is_host(hop)]
    for hop in reversed(readable):
        if parse_address(hop) is None:
            break
        client = hop
        if hop not in trusted:
            break
    return client, known


def _escaped(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _lines(chain: bytes, client: bytes, peer: bytes, host: bytes, scheme: bytes, identity: dict[bytes, bytes]) -> bytes:
    node = b'"[%b]"' % peer if b":" in peer else peer or b"unknown"
    named = b"" if not host else b";host=%b" % host if _is_plain_name(host) else b';host="%b"' % _escaped(host)
    element = b"for=%b%b;proto=%b" % (node, named, scheme)
    earlier = identity.get(b"forwarded", b"")
    if earlier and not _has_whole_quotes(earlier):
        earlier = b""  # a proxy has passed it on unread, and ours would be inside its quotes
    via = identity.get(b"via", b"")
    return b"X-Forwarded-For: %b\r\nX-Real-IP: %b\r\nX-Forwarded-Proto: %b\r\n%bForwarded: %b\r\nVia: %b\r\n" % (
        chain or b"unknown",
        client or b"unknown",
        scheme,
        b"X-Forwarded-Host: %b\r\n" % host if host else b"",
        earlier + b", " + element if earlier else element,
        via + b", " + VIA if via else VIA,
    )


def goes_in_circles(identity: dict[bytes, bytes]) -> bool:
    """Whether ``Via`` says so, which everybody extends, whoever is believed (RFC 9110 section 7.6.3)."""
    via = identity.get(b"via", b"")
    return via.count(VIA) >= MOST_PASSES and [hop.strip(b" \t") for hop in via.split(b",")].count(VIA) >= MOST_PASSES


class RequestIds:
    """Ids that no other worker makes: 64 random bits of this process, then a counter.

    The same 32 hexadecimal digits serve as X-Request-Id and as trace id.
    """

    __slots__ = ("_next", "_prefix")

    def __init__(self) -> None:
        self._prefix = os.urandom(8).hex().encode()
        self._next = count(int.from_bytes(os.urandom(6), "big") + 1).__next__

    def new(self) -> tuple[bytes, bytes]:
        """A request id (32 digits) and a span id (16 digits)."""
        span = b"%016x" % self._next()
        return self._prefix + span, span


def identity_lines(caller: Caller, request_id: bytes, span: bytes) -> bytes:
    """X-Request-Id, traceparent and tracestate of one request. A trace that we start is marked
    sampled: with the usual parent-based sampler the backend then records it as it would without us."""
    if caller.trace:
        if caller.trace is PASSED_ON:
            return b"X-Request-Id: %b\r\n" % (caller.request_id or request_id)
        trace = caller.trace[:36] + span + caller.trace[52:]
        state = b"tracestate: %b\r\n" % caller.tracestate if caller.tracestate else b""
        return b"X-Request-Id: %b\r\ntraceparent: %b\r\n%b" % (caller.request_id or request_id, trace, state)
    if caller.request_id:
        return b"X-Request-Id: %b\r\ntraceparent: 00-%b-%b-01\r\n" % (caller.request_id, request_id, span)
    return b"X-Request-Id: %b\r\ntraceparent: 00-%b-%b-01\r\n" % (request_id, request_id, span)
