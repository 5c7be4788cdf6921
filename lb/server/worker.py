"""``ProxyWorker``: the gunicorn worker that reads HTTP/1.1 off its sockets itself.

Overrides ``run()``, not only ``handle()``: stock ``run()`` gives every listener TLS, wraps before
``handle`` and closes the socket after it. The WSGI application named on gunicorn's command line is
not used on this path (but loaded, so that the same command works with any worker class).
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from lb.http1.forwarded import RequestIds
from lb.proxy.connection import Entrance
from lb.proxy.deadlines import Sweeper
from lb.proxy.front import Front
from lb.proxy.reply import Replier
from lb.proxy.serve import RequestServer
from lb.server.accept import Acceptor
from lb.server.certificates import CertificateStore
from lb.server.garbage import Collector
from lb.server.listeners import listener_of_each
from lb.server.runtime import Runtime
from lb.supervisor.patching import distributions_read_once

LAST_WORDS_S = 0.5
"""Before the arbiter kills us: for the last lines of the access log, and to say who was cut."""
DRAIN_IDLE_S = 5.0
FAILED_STATUS = 1
"""Not gunicorn's 3 or 4: those make the arbiter give up, and healthy workers with it."""


class ProxyWorker(GeventWorker):  # type: ignore[misc]
    """One data-plane process."""

    alive: bool

    def init_process(self) -> None:
        try:
            super().init_process()
        except SystemExit:
            raise
        except BaseException:
            self.log.exception("worker cannot start")
            sleep(1.0)  # the arbiter starts the next one at once
            sys.exit(FAILED_STATUS)

    def patch(self) -> None:
        with distributions_read_once():
            super().patch()

    def notify(self) -> None:
        """The heartbeat. With the arbiter gone this worker serves what it has and ends, instead of vanishing."""
        self.tmp.notify()
        if self.ppid != os.getppid() and self.alive:
            self.log.warning("arbiter is gone: draining")
            self.alive = False

    def handle_abort(self, sig: int, frame: object) -> None:
        """The arbiter gives this worker up as stuck. It ends here: gunicorn's SystemExit would come out wherever
        it is stuck, and some places swallow one."""
        self.cfg.worker_abort(self)
        os._exit(FAILED_STATUS)

    def load_wsgi(self) -> None:
        """Nothing of it is used here, and nothing may fail here."""
        self.wsgi = None

    def run(self) -> None:
        _log_through(self.log)
        _raise_descriptor_limit()
        hub = gevent.get_hub()
        sweeper = Sweeper(hub)
        collector = Collector()
        runtime = Runtime(os.environ["LB_SNAPSHOT"], hub, sweeper, collector)
        server = RequestServer(sweeper, runtime, RequestIds(), Replier(hub, sweeper, runtime))
        front = Front(hub, sweeper, runtime, server.serve, server.turn_away)
        acceptors = self._acceptors(front, runtime)
        collector.calm()
        sweeper.start()
        runtime.start()
        for acceptor in acceptors:
            acceptor.start()
        runtime.beat()
        while self.alive:
            self.notify()
            runtime.beat()
            gevent.sleep(0.5)
        self._drain(front, runtime, acceptors)

    def _acceptors(self, front: Front, runtime: Runtime) -> list[Acceptor]:
        config = runtime.snapshot.config
        acceptors = []
        for sock, listener in zip(self.sockets, listener_of_each(config, self.sockets, os.environ), strict=True):
            certificates = CertificateStore(listener.certificates) if listener.certificates else None
            if certificates is not None:
                gevent.spawn(certificates.watch)
            entrance = Entrance(
                listener.id,
                (lambda: runtime.status) if listener.kind == "status" else (lambda: runtime.traffic),
                b"https" if certificates else b"http",
                listener.timeouts,
                listener.body_limit_bytes,
                listener.max_connections_per_client,
                listener.proxy_protocol,
                certificates.context if certificates else None,
            )
            runtime.entrances.append(entrance)
            acceptors.append(Acceptor(sock, front, entrance, runtime))
        return acceptors

    def _drain(self, front: Front, runtime: Runtime, acceptors: list[Acceptor]) -> None:
        """No new connections; each open one may end its request, idle ones have five seconds for one more."""
        runtime.is_draining = True
        for acceptor in acceptors:
            acceptor.stop()
        for sock in self.sockets:
            sock.close()
        front.drain(DRAIN_IDLE_S)
        until = monotonic() + self.cfg.graceful_timeout - LAST_WORDS_S
        while front.open and monotonic() < until:
            self.tmp.notify()
            runtime.beat()
            gevent.sleep(0.1)
        if front.open:
            self.log.warning("%d connections cut after graceful_timeout", len(front.open))
        runtime.close()


def _raise_descriptor_limit() -> None:
    """To what the system lets us have: two descriptors per proxied request, one per idle connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _log_through(log: Any) -> None:
    """Our loggers write where gunicorn's error log goes."""
    ours = logging.getLogger("lb")
    ours.handlers = list(log.error_log.handlers)
    ours.setLevel(log.error_log.level)
    ours.propagate = False
