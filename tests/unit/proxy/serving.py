"""A whole data path in one thread: connections go in as socket pairs, no process and no listener around it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gevent

from lb.http1.forwarded import RequestIds, TrustedProxies
from lb.model import ListenerTimeouts, Respond, Route
from lb.policies.table import POLICIES
from lb.proxy.answer import Answer
from lb.proxy.connection import Entrance
from lb.proxy.core import Core
from lb.proxy.deadlines import Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.front import Front
from lb.proxy.pool import LivePool
from lb.proxy.reply import Replier
from lb.proxy.router import Router
from lb.proxy.routes import LiveRoute, local_action
from lb.proxy.serve import RequestServer
from tests.support.scripted import directory, raw, tcp_pair


class ListedLog:
    """In the access log's place."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


def local_route(name: str, act: Callable[[Exchange], Answer] | None = None, **match: Any) -> LiveRoute:
    """Answers its own name, or what ``act`` says."""
    route = Route(name, "respond", respond=Respond(body=name), **match)
    return LiveRoute(route, directory([]).of(name), None, act or local_action(route), "", frozenset())


def pool_route(pool: LivePool, upgrades: Sequence[str] = (), **match: Any) -> LiveRoute:
    route = Route("pool", "pool", pool=pool.pool.id, **match)
    wanted = frozenset(name.encode() for name in upgrades)
    return LiveRoute(route, directory([]).of("pool"), pool, None, "round_robin", wanted)


class Served:
    """``worker_cells``, ``trusted`` and ``is_draining`` are what a composition root would tell."""

    def __init__(self, sweeper: Sweeper, routes: Sequence[LiveRoute], trusted: Sequence[str] = ()) -> None:
        cells = directory(["worker", "unrouted", *POLICIES])
        self.is_draining = False
        self.trusted = TrustedProxies(trusted)
        self.worker_cells = cells.of("worker")
        self.log = ListedLog()
        self.core = Core(
            1,
            Router((live.route, live) for live in routes),
            [live.pool for live in routes if live.pool is not None],
            {name: cells.of(name) for name in POLICIES},
            cells.of("unrouted"),
            self.log,  # type: ignore[arg-type]
            unknown_methods=False,
        )
        hub = gevent.get_hub()
        server = RequestServer(sweeper, self, RequestIds(), Replier(hub, sweeper, self))
        self.front = Front(hub, sweeper, self, server.serve, server.turn_away)

    def entrance(
        self,
        timeouts: ListenerTimeouts | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        proxy_protocol: bool = False,
        most: int | None = None,
        body_limit: int | None = None,
    ) -> Entrance:
        return Entrance(
            "traffic",
            lambda: self.core,
            b"https" if tls else b"http",
            timeouts or ListenerTimeouts(),
            body_limit,
            most,
            proxy_protocol,
            (lambda: tls) if tls else None,
        )

    @contextlib.contextmanager
    def client(self, entrance: Entrance | None = None, peer: bytes = b"192.0.2.7") -> Iterator[Any]:
        """The client's own end of a new connection."""
        with tcp_pair() as (ours, theirs):
            self.front.accept(raw(ours), peer, entrance or self.entrance())
            yield theirs


@contextlib.contextmanager
def serving(sweeper: Sweeper, *routes: LiveRoute, trusted: Sequence[str] = ()) -> Iterator[Served]:
    """At the end no connection may be left open, nor a deadline but those of idle runners."""
    served = Served(sweeper, routes, trusted)
    yield served
    for connection in list(served.front.open):
        with contextlib.suppress(OSError):
            connection.sock.shutdown(2)
    with gevent.Timeout(5):
        while served.front.open:
            gevent.sleep(0.002)
    assert sum(served.worker_cells.inflight) == 0
