"""All client connections of one worker, and the greenlets that serve them.

A parked connection costs a watcher. Its first byte takes a runner greenlet from the idle ones; the
runner serves until the connection is quiet again. So there are as many greenlets as requests at once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from greenlet import greenlet

from lb.http1.forwarded import TrustedProxies
from lb.proxy.cells import Cells
from lb.proxy.connection import ClientConnection, Entrance
from lb.proxy.deadlines import NEVER, Deadline, Expired, Sweeper
from lb.state.layout import W_ACCEPTED, W_CLOSED, W_REFUSED

MAX_IDLE_RUNNERS = 256
_log = logging.getLogger("lb.proxy")


class Machine(Protocol):
    """What the composition root tells; its values are replaced, so they are asked for each time."""

    is_draining: bool
    trusted: TrustedProxies
    worker_cells: Cells


Serve = Callable[[ClientConnection, Deadline], bool]
"""Serves what has come; True: the connection is to be parked, False: closed."""
TurnAway = Callable[[bytes, Entrance], bytes]
"""What to tell a client, by its address, that may have no more connections."""


class Runner(Deadline):
    """A greenlet that serves one connection after another, with its one deadline."""

    __slots__ = ("connection",)

    def __init__(self, front: Front) -> None:
        super().__init__(greenlet(front.run, front.hub))
        self.connection: ClientConnection | None = None


class Front:
    """Everything here runs on the worker's hub."""

    def __init__(self, hub: Any, sweeper: Sweeper, machine: Machine, serve: Serve, turn_away: TurnAway) -> None:
        self.hub = hub
        self.sweeper = sweeper
        self.machine = machine
        self.open: set[ClientConnection] = set()
        self._serve = serve
        self._turn_away = turn_away
        self._of_client: Counter[tuple[str, bytes]] = Counter()
        """Open connections by listener and client, whether there is a limit now or not: a reload may bring one."""
        self._idle: list[Runner] = []
        self._parked: dict[str, dict[ClientConnection, None]] = {}
        """By listener, whose time they share; in the order they were parked in, and so of their expiry."""
        self._drained_at = 0.0
        self._most_idle_s = NEVER
        """Beside the listener's own time, from the drain on."""
        self._watched: set[ClientConnection] = set()
        sweeper.every_sweep(self._close_expired)
        sweeper.every_sweep(self._look_after_watched)

    def accept(self, sock: Any, peer: bytes, entrance: Entrance) -> None:
        """Takes a connection over. Its first byte may be long in coming: it is parked at once."""
        is_known = not entrance.proxy_protocol
        if is_known and self._is_one_too_many(entrance, peer):
            self._refuse(sock, peer, entrance)
            return
        connection = ClientConnection(sock, self, peer, entrance)
        if is_known:
            self._enter(connection)
        self.open.add(connection)
        self._parked.setdefault(entrance.id, {})
        self.machine.worker_cells.counters[W_ACCEPTED] += 1
        self._count_open()
        self.park(connection)

    def _refuse(self, sock: Any, peer: bytes, entrance: Entrance) -> None:
        """This client may have no more connections: it is told so in clear text, and left."""
        if entrance.tls is None:
            with suppress(OSError):
                sock.send(self._turn_away(peer, entrance))
        sock.close()

    def admit(self, connection: ClientConnection) -> bool:
        """A PROXY header has said whose it is. False: one more than that client may have, to be refused."""
        if self._is_one_too_many(connection.entrance, connection.peer):
            return False
        self._enter(connection)
        return True

    def _is_one_too_many(self, entrance: Entrance, peer: bytes) -> bool:
        most = entrance.max_per_client
        if most is None or self._of_client[entrance.id, peer] < most:
            return False
        self.machine.worker_cells.counters[W_REFUSED] += 1
        return True

    def _enter(self, connection: ClientConnection) -> None:
        who = connection.counted_as = (connection.entrance.id, connection.peer)
        self._of_client[who] += 1

    def _leave(self, connection: ClientConnection) -> None:
        who = connection.counted_as
        if who is None:
            return
        connection.counted_as = None
        self._of_client[who] -= 1
        if self._of_client[who] <= 0:
            del self._of_client[who]

    def park(self, connection: ClientConnection) -> None:
        connection.server = None
        connection.forget_much()
        connection.is_parked = True
        connection.parked_at = self.sweeper.now
        self._parked[connection.entrance.id][connection] = None
        connection.arm()

    def wake(self, connection: ClientConnection) -> None:
        """On the hub: a parked connection can be read."""
        connection.is_parked = False
        del self._parked[connection.entrance.id][connection]
        if self._idle:
            runner = self._idle.pop()
        else:
            runner = Runner(self)
            self.sweeper.deadlines.add(runner)
        runner.connection = connection
        connection.server = runner
        assert runner.greenlet is not None
        runner.greenlet.switch(runner)

    def run(self, runner: Runner) -> None:
        """A runner's life: serve, wait among the idle ones, serve again."""
        while True:
            connection = runner.connection
            assert connection is not None
            try:
                if self._serve(connection, runner):
                    self.park(connection)
                else:
                    self.close(connection)
            except (OSError, Expired):
                self.close(connection)
            except Exception:  # noqa: BLE001 - the outer edge: one connection's failure is not the worker's
                _log.exception("peer=%s listener=%s", connection.peer.decode(), connection.entrance.id)
                self.close(connection)
            runner.at = NEVER
            runner.connection = None
            if len(self._idle) >= MAX_IDLE_RUNNERS:
                self.sweeper.deadlines.discard(runner)
                return
            self._idle.append(runner)
            self.hub.switch()

    def close(self, connection: ClientConnection) -> None:
        if connection in self.open:
            self.open.discard(connection)
            self._parked[connection.entrance.id].pop(connection, None)
            connection.still_there()
            connection.close()
            self._leave(connection)
            self.machine.worker_cells.counters[W_CLOSED] += 1
            self._count_open()

    def _count_open(self) -> None:
        cells = self.machine.worker_cells
        cells.inflight[cells.slot] = len(self.open)

    def _close_expired(self, now: float) -> None:
        for parked in self._parked.values():
            expired = []
            for connection in parked:
                if self._expires(connection) > now:
                    break
                expired.append(connection)
            for connection in expired:
                self.close(connection)

    def _expires(self, connection: ClientConnection) -> float:
        """Asked anew at each sweep: a reload or a drain may change it."""
        parked_at = connection.parked_at
        usual = parked_at + connection.entrance.timeouts.keep_alive_s
        return min(usual, max(parked_at, self._drained_at) + self._most_idle_s)

    def watch(self, connection: ClientConnection) -> None:
        """It has sent more than its request while that is served: an end behind those bytes shows no other way."""
        self._watched.add(connection)

    def _look_after_watched(self, now: float) -> None:
        for connection in tuple(self._watched):
            if connection.server is None or connection.is_closed or connection.is_answering:
                self._watched.discard(connection)
            elif connection.is_closing():
                self._watched.discard(connection)
                connection.has_left()

    def drain(self, idle_s: float) -> None:
        """Each open connection serves at most one more request, if that comes within ``idle_s``."""
        self._drained_at = monotonic()
        self._most_idle_s = idle_s
