"""How an answer is written to a client."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

from lb.model import ListenerTimeouts
from lb.proxy.answer import UNKNOWN_LENGTH, Answer
from lb.proxy.deadlines import Deadline, Sweeper
from lb.proxy.reply import Replier
from tests.support.scripted import head_of
from tests.unit.proxy.live import exchange_of


class Reader:
    """The rest of a body: one large piece, made here and kept by nobody but us."""

    trailers = ()

    def __init__(self) -> None:
        self.is_done = False
        self.piece = bytes(100_000)

    def read(self) -> bytes:
        self.is_done = True
        return self.piece

    def abort(self) -> None:
        return


def test_a_chunk_is_in_memory_once(sweeper: Sweeper, hub: Any) -> None:
    """However long its client takes to read it: thousands may."""
    reader = Reader()
    held: list[int] = []
    sent: list[bytes] = []
    alone = sys.getrefcount(reader.piece)

    def send(data: bytes) -> None:
        held.append(sys.getrefcount(reader.piece) - alone)
        sent.append(data)

    connection: Any = SimpleNamespace(
        send=send, entrance=SimpleNamespace(timeouts=ListenerTimeouts()), buffer=b"", is_disarmed=False
    )
    machine: Any = SimpleNamespace(is_draining=False)
    answer = Answer(200, b"HTTP/1.1 200 OK\r\n", UNKNOWN_LENGTH, b"", reader)  # type: ignore[arg-type]
    exchange = exchange_of(head_of(), Deadline(None))
    assert Replier(hub, sweeper, machine).reply(connection, exchange, answer)
    assert b"".join(sent).endswith(b"\r\n\r\n186a0\r\n%b\r\n0\r\n\r\n" % reader.piece)
    assert (exchange.bytes_out, max(held)) == (100_000, 0)
