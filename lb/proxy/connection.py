"""A client's connection: its socket, what was read of it but not used, and whose it is.

While it waits for its next request it is *parked*: a bare watcher, no greenlet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from socket import IPPROTO_TCP, TCP_INFO
from time import monotonic
from typing import Any, Protocol

from lb.http1.forwarded import Caller, TrustedProxies
from lb.http1.request import RequestFields
from lb.model import Listener, ListenerTimeouts
from lb.proxy.core import Core
from lb.proxy.deadlines import Deadline, Sweeper
from lb.proxy.stream import Stream


@dataclass
class Entrance:
    """What a listener means to the connections that come in through it. ``tls`` gives the context of the day."""

    id: str
    core: Callable[[], Core]
    scheme: bytes
    timeouts: ListenerTimeouts
    body_limit_bytes: int | None
    max_per_client: int | None
    proxy_protocol: bool
    tls: Callable[[], Any] | None

    def follow(self, listener: Listener) -> None:
        """What a reload may change, for open connections too; anything else takes new workers (``lb.config.diff``)."""
        self.timeouts = listener.timeouts
        self.body_limit_bytes = listener.body_limit_bytes
        self.max_per_client = listener.max_connections_per_client


class Keeper(Protocol):
    """Who holds parked connections (``lb.proxy.front.Front``)."""

    hub: Any
    sweeper: Sweeper

    def admit(self, connection: ClientConnection) -> bool: ...
    def wake(self, connection: ClientConnection) -> None: ...
    def watch(self, connection: ClientConnection) -> None: ...


_CLOSING_STATES = (7, 8)
"""TCP_CLOSE and TCP_CLOSE_WAIT of Linux's net/tcp_states.h."""
UNKNOWN_CALLER = Caller(b"", b"http", b"", b"", b"", b"")

KEPT_HEAD_BYTES = 2048
"""Of a head that is remembered while its connection is idle, or its client is away: browsers send half a kilobyte."""


class ClientConnection(Stream):
    """``buffer``: bytes read but not used yet. ``fields``: of the last request, and ``caller``: what came of
    its ``identity`` and ``authority`` and of who was ``trusted`` then; to be used again when the next one
    repeats them, as keep-alive clients mostly do."""

    __slots__ = (
        "authority",
        "buffer",
        "caller",
        "counted_as",
        "entrance",
        "fields",
        "gone",
        "identity",
        "is_answering",
        "is_new",
        "is_parked",
        "keeper",
        "parked_at",
        "peer",
        "server",
        "trusted",
    )

    def __init__(self, sock: Any, keeper: Keeper, peer: bytes, entrance: Entrance) -> None:
        super().__init__(sock, keeper.hub)
        self.keeper = keeper
        self.peer = peer
        self.counted_as: tuple[str, bytes] | None = None
        """The listener and the client whose connection this is, once both are known."""
        self.entrance = entrance
        self.buffer = b""
        self.fields: RequestFields | None = None
        self.caller = UNKNOWN_CALLER
        self.trusted: TrustedProxies | None = None
        self.identity: dict[bytes, bytes] | None = None
        self.authority = b""
        self.is_new = True
        self.is_parked = False
        self.is_answering = False
        self.parked_at = 0.0
        self.gone: Deadline | None = None
        self.server: Deadline | None = None
        """The deadline, and so the greenlet, of whoever serves it now."""

    def forget_much(self) -> None:
        """An idle connection does not keep a large head for the chance that it is repeated."""
        fields = self.fields
        if fields is not None and len(fields.block) > KEPT_HEAD_BYTES:
            self.fields = self.identity = self.trusted = None
            self.caller = UNKNOWN_CALLER

    def on_unexpected(self) -> None:
        """Parked: the next request begins. Served: more than was asked for; if that is the client's end,
        it counts as gone ``half_close`` later, unless the answer begins before."""
        if self.is_parked:
            self.keeper.wake(self)
            return
        self.disarm()
        if self.server is not None and not self.is_answering:
            if self.peek_closed():
                self.has_left()
            else:
                self.keeper.watch(self)

    def has_left(self) -> None:
        """Its side is closed: it counts as gone ``half_close`` from now, unless the answer begins before."""
        if self.gone is None and self.server is not None and not self.is_answering:
            self.gone = Deadline(self.server.greenlet)
            self.gone.set(monotonic() + self.entrance.timeouts.half_close_s, "client_gone")
            self.keeper.sweeper.deadlines.add(self.gone)

    def is_closing(self) -> bool:
        """Whether the peer has closed, whatever it sent before: what the kernel says of the TCP connection."""
        try:
            return self.sock.getsockopt(IPPROTO_TCP, TCP_INFO, 1)[0] in _CLOSING_STATES
        except OSError:
            return False

    def on_progress(self) -> None:
        if self.server is not None:
            self.server.set(monotonic() + self.entrance.timeouts.write_s, "client_gone")

    def still_there(self) -> None:
        """The answer begins: a client that has only closed its sending side gets it, all of it."""
        self.is_answering = True
        if self.gone is not None:
            self.keeper.sweeper.deadlines.discard(self.gone)
            self.gone = None
