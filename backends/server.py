"""gevent's WSGI server with what the endpoints need: the raw head, the socket; and what is metered.

One process, one hub, a greenlet per connection; HTTP/1.1 keep-alive is pywsgi's.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from gevent.pywsgi import WSGIHandler, WSGIServer

from backends.app import App
from backends.load import Meter

ASKED_BY_MACHINES = frozenset(("/health", "/metrics", "/heartbeat"))
"""Left out of what is metered, so that it says how traffic fares."""


class BackendHandler(WSGIHandler):
    """Adds ``backends.*`` to the environment; an upgraded connection ends with its generator."""

    server: Any
    environ: Any
    wsgi_input: Any

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["backends.target"] = self.path
        environ["backends.headers"] = list(self.headers.items())
        environ["backends.socket"] = self.socket
        return environ

    def handle(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().handle()

    def handle_one_response(self) -> None:
        meter: Meter = self.server.application.meter
        if self.environ["PATH_INFO"] in ASKED_BY_MACHINES:
            super().handle_one_response()
        else:
            self._metered_response(meter)
        meter.net_bytes += self.response_length + int(self.wsgi_input.content_length or 0)
        if self.connection_upgraded:
            self.close_connection = True

    def _metered_response(self, meter: Meter) -> None:
        meter.inflight += 1
        started_at = time.perf_counter()
        try:
            super().handle_one_response()
        finally:
            meter.inflight -= 1
            meter.finish(time.perf_counter() - started_at)


def server(app: App, host: str, port: int) -> WSGIServer:
    """A server that is bound, not yet serving; ``.server_port`` says where (port 0: any)."""
    bound = WSGIServer((host, port), app, handler_class=BackendHandler, log=None, error_log=None, backlog=1024)
    bound.init_socket()
    return bound
