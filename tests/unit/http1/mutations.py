"""Odd bytes by the thousand: valid messages with a few things wrong, the same ones for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

SEEDS = [
    b"GET / HTTP/1.1\r\nHost: lb.test\r\n\r\n",
    b"GET /a/b?c=d&e=%2F HTTP/1.1\r\nHost: lb.test:8080\r\nAccept: */*\r\nUser-Agent: x (y; z)\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: lb.test\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n",
    b"POST /p HTTP/1.1\r\nHost: lb.test\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"PUT /p HTTP/1.1\r\nHost: lb.test\r\nTransfer-Encoding: gzip, chunked\r\nTE: trailers\r\n\r\n",
    b"GET http://lb.test/abs?x HTTP/1.1\r\nHost: lb.test\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: lb.test\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: lb.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: [::1]:80\r\nCookie: a=1; b=2\r\nCookie: c=3\r\nX-Long: " + b"v" * 100 + b"\r\n\r\n",
    b"DELETE /d HTTP/1.1\r\nHost: lb.test\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    b"PATCH /p HTTP/1.1\r\nHost: lb.test\r\nX_Under: 1\r\nX-Caf\xe9: 1\r\nX-Obs: caf\xe9\r\n\r\n",
]
BODIES = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"A\r\n0123456789\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
    b'5;a=b;c="d"\r\nhello\r\n00\r\n\r\n',
    b"000005\r\nhello\r\n3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n",
]
BYTES = [bytes((one,)) for one in (*range(33), *b'"#%()+,-./:;<=>?@[\\]^_{|}~0159aAzZ', 0x7F, 0x80, 0x85, 0xA0, 0xFF)]
WORDS = [
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b" HTTP/1.1", b"HTTP/1.2", b"HTTP/2.0", b"chunked", b", chunked",
    b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: evil\r\n", b"5, 5",
    b"+5", b"0x5", b"1e1", b"\xef\xbc\x95", b"Connection: close\r\n", b"Content-Length:\r\n", b"\x0b", b"18446744073709551621",
    b"Transfer_Encoding: chunked\r\n", b"X: y\r\n" * 30, b"http://", b"//", b"user@", b":99999", b"#frag", b"CONNECT ", b"get",
]  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(rng.choice([BYTES, WORDS])) + data[at:]


def _replace(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.choice(BYTES) + data[at + 1 :]


def _delete(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 1, 1, 2, 5)) :]


def _double(rng: random.Random, data: bytes) -> bytes:
    """A line twice."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    at = rng.randrange(len(lines))
    return b"".join([*lines[: at + 1], *lines[at:]])


def _swap_case(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at : at + 12].swapcase() + data[at + 12 :]


def _at_an_edge(rng: random.Random, data: bytes) -> bytes:
    """Where parsers differ: just before or behind a colon, a line end, a space, a comma or a digit."""
    edges = [found.start() for found in re.finditer(rb"[: ,;\r0-9]", data)]
    if not edges:
        return data
    at = rng.choice(edges) + rng.randrange(2)
    return data[:at] + rng.choice(rng.choice([BYTES, BYTES, WORDS])) + data[at:]


MUTATIONS: Sequence[Mutation] = (_insert, _replace, _delete, _double, _swap_case, _at_an_edge, _at_an_edge)


def mutated(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """``count`` messages with one to three things changed."""
    rng = random.Random(seed)
    for _ in range(count):
        data = rng.choice(seeds)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            data = rng.choice(MUTATIONS)(rng, data) or b"\r\n"
        yield data
