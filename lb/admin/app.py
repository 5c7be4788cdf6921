"""The controller's web application: metrics, state, a status page. Reads; changes nothing.

Served on the admin listener (TCP) and on the control socket (a unix socket in the state directory,
which workers forward ``metrics`` routes to). Whoever can open that socket is trusted; on TCP, Host
and Origin are checked first (``lb.admin.guard``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from werkzeug.exceptions import Forbidden, HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

import lb.controller
from lb.admin.guard import bound_hosts, is_welcome
from lb.admin.state import degraded, describe
from lb.controller.controller import Controller
from lb.metrics.collector import SegmentCollector
from lb.metrics.exposition import expose
from lb.model import Snapshot
from lb.state.reload import last_reload
from lb.state.segment import Segment

_STATIC = Path(__file__).parent / "static"
_PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/static/status.js": ("status.js", "text/javascript; charset=utf-8"),
    "/static/status.css": ("status.css", "text/css; charset=utf-8"),
}
_FIELDS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class AdminApp:
    """A WSGI application over one controller, which need not be running or have anything to read yet."""

    def __init__(self, controller: Callable[[], Controller]) -> None:
        self._controller = controller
        self._collector = SegmentCollector(self._source)
        self._answers: dict[str, Callable[[Request], Response]] = {
            **dict.fromkeys(_PAGES, self._page),
            "/health": self._health,
            "/metrics": self._metrics,
            "/api/v1/state": self._state,
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            self._check_origin(request)
            response = self._answer(request)
        except HTTPException as error:
            response = _error(error)
        response.headers.update(_FIELDS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        answer = self._answers.get(request.path)
        if answer is None:
            raise NotFound
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(["GET", "HEAD"])
        return answer(request)

    def _check_origin(self, request: Request) -> None:
        if request.environ.get("REMOTE_ADDR") == "":  # a peer on a unix socket has no address
            return
        snapshot, _ = self._source()
        bound = bound_hosts(snapshot.config.listeners) if snapshot else frozenset()
        if not is_welcome(request.headers.get("Host", ""), request.headers.get("Origin"), bound):
            raise Forbidden(
                "This Host or Origin is not one of this listener: ask for localhost, a loopback address, or the "
                "address that listeners.admin.bind names"
            )

    def _source(self) -> tuple[Snapshot | None, Segment | None]:
        attachment = self._controller().attached()
        return attachment.snapshot, attachment.segment

    def _page(self, request: Request) -> Response:
        name, content_type = _PAGES[request.path]
        return Response((_STATIC / name).read_bytes(), content_type=content_type)

    def _health(self, request: Request) -> Response:
        return Response("OK", content_type="text/plain; charset=utf-8")

    def _metrics(self, request: Request) -> Response:
        content_type, body = expose(self._collector.families(), request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    def _state(self, request: Request) -> Response:
        controller = self._controller()
        attachment = controller.attached()
        if attachment.snapshot is None or attachment.segment is None:
            return _json(degraded(attachment.problem), 503)
        probes = controller.roster.last_results()
        now_ns = time.monotonic_ns()
        problem = attachment.problem or str(last_reload(attachment.snapshot.config.state.dir) or "")
        return _json(describe(attachment.snapshot, attachment.segment, probes, now_ns, problem))


def _json(value: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _error(error: HTTPException) -> Response:
    response = _json({"error": error.description, "status": error.code}, error.code or 500)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


app = AdminApp(lb.controller.instance)
