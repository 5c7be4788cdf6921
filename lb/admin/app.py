"""The controller's web application: metrics, state, a status page, and what operators change.

Served on the admin listener (TCP) and on the control socket (a unix socket in the state directory,
which workers forward ``metrics`` routes to). Host and Origin are checked first, on TCP (``lb.admin.guard``); then who
asks (``lb.admin.access``): reading is open to this machine, everything else takes the token.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gevent.lock import BoundedSemaphore
from werkzeug.exceptions import Forbidden, HTTPException, MethodNotAllowed, NotFound
from werkzeug.wrappers import Request, Response

import lb.controller
from lb.admin import configuration
from lb.admin.access import Access, is_local
from lb.admin.bodies import JSON, YAML, raw_body
from lb.admin.guard import bound_hosts, is_welcome
from lb.admin.pools import Answer, InvalidKeys, PoolResources, expected_generation, tag
from lb.admin.state import Json, degraded, describe, describe_store
from lb.controller.changes import Changes
from lb.controller.controller import Controller
from lb.metrics.collector import SegmentCollector
from lb.metrics.exposition import expose
from lb.model import Snapshot, summary
from lb.state import operator_file
from lb.state.operate import check_expected
from lb.state.operator import Refused
from lb.state.publish import token_of
from lb.state.reload import last_reload
from lb.state.segment import Segment

_STATIC = Path(__file__).parent / "static"
_PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/static/status.js": ("status.js", "text/javascript; charset=utf-8"),
    "/static/status.css": ("status.css", "text/css; charset=utf-8"),
}
_OPEN = frozenset((*_PAGES, "/health"))
"""They say nothing that is not in the program."""
_FIELDS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_REASONS = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
_READS = ("GET", "HEAD")

Handler = Callable[[Request], Response]


class AdminApp:
    """A WSGI application over one controller, which need not be running or have anything to read yet."""

    def __init__(self, controller: Callable[[], Controller]) -> None:
        self._controller = controller
        self._collector = SegmentCollector(self._source)
        self._access = Access()
        self._one_file_at_a_time = BoundedSemaphore(1)
        self._pools = PoolResources(self._changes, self._described)
        self._answers: dict[str, dict[str, Handler]] = {
            **{path: {"GET": self._page} for path in _PAGES},
            "/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/api/v1/state": {"GET": self._state},
            "/api/v1/reload": {"POST": self._reload},
            "/api/v1/config": {"PUT": self._configure},
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        try:
            self._check_origin(request)
            response = self._answer(request)
        except HTTPException as error:
            response = _error(error)
        except Refused as refused:
            response = _refusal(refused)
        response.headers.update(_FIELDS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        methods = self._answers.get(request.path) or self._resource(request)
        if methods is None:
            raise NotFound
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise MethodNotAllowed([*methods, "HEAD"] if "GET" in methods else list(methods))
        if request.path not in _OPEN:
            self._authorize(request)
        return handler(request)

    def _resource(self, request: Request) -> dict[str, Handler] | None:
        found = self._pools.find(_raw_path(request))
        return None if found is None else {method: _rendered(answer) for method, answer in found.items()}

    # -- who may ----------------------------------------------------------------------------

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

    def _authorize(self, request: Request) -> None:
        address = request.environ.get("REMOTE_ADDR")
        if request.method in _READS and address is not None and is_local(address):
            return
        snapshot, _ = self._source()
        token = token_of(snapshot.config) if snapshot else ""
        self._access.check(request.headers.get("Authorization"), token, address or "a unix socket")

    # -- reads ------------------------------------------------------------------------------

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
        attachment = self._controller().attached()
        if attachment.snapshot is None or attachment.segment is None:
            return _json(degraded(attachment.problem), 503)
        state = self._described()
        response = _json(state)
        response.headers["ETag"] = tag(state["generation"])
        return response

    def _described(self) -> Json:
        controller = self._controller()
        attachment = controller.attached()
        attachment.refresh()  # who has just changed something wants to see it
        snapshot, segment = attachment.snapshot, attachment.segment
        if snapshot is None or segment is None:
            raise Refused(503, "no_snapshot", attachment.problem)
        probes = controller.roster.last_results()
        refused = str(last_reload(snapshot.config.state.dir) or "")
        store = describe_store(controller.sync, snapshot.config.state.machine)
        between = "; ".join(store.get("store", {}).get("problems", ()))
        problem = attachment.problem or refused or summary(snapshot.problems) or between
        overlay = operator_file.load(snapshot.config.state.dir).overlay
        return {**describe(snapshot, segment, probes, time.monotonic_ns(), problem, overlay), **store}

    # -- changes ----------------------------------------------------------------------------

    def _changes(self) -> Changes:
        controller = self._controller()
        return Changes(controller.attached, lambda: controller.sync.link)

    def _reload(self, request: Request) -> Response:
        current = self._changes().current
        with self._one_file_at_a_time:
            check_expected(current(), expected_generation(request, current))
            configuration.reload(current())
            return _in_force(current())

    def _configure(self, request: Request) -> Response:
        text = raw_body(request, (*YAML, *JSON))
        current = self._changes().current
        with self._one_file_at_a_time:
            snapshot = current()
            check_expected(snapshot, expected_generation(request, current))
            warnings = configuration.replace_file(snapshot.config.source, text)
            configuration.reload(snapshot)
            return _in_force(current(), warnings)


def _raw_path(request: Request) -> str:
    """As the client wrote it, where the server says: in an id an escaped slash is none of the path's."""
    raw = str(request.environ.get("RAW_URI") or request.environ.get("REQUEST_URI") or "").partition("?")[0]
    return raw if raw.startswith("/") else request.path


def _rendered(answer: Callable[[Request], Answer]) -> Handler:
    def respond(request: Request) -> Response:
        said = answer(request)
        response = _json(said.body, said.status)
        response.headers.update(said.fields)
        return response

    return respond


def _in_force(snapshot: Snapshot, warnings: Iterable[Any] = ()) -> Response:
    body: Json = {"generation": snapshot.generation, "warnings": list(warnings), "problems": list(snapshot.problems)}
    response = _json(body)
    response.headers["ETag"] = tag(snapshot.generation)
    return response


def _json(value: Json, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")


def _refusal(refused: Refused) -> Response:
    body: Json = {"error": str(refused), "reason": refused.reason, "status": refused.status}
    if isinstance(refused, InvalidKeys):
        body["mistakes"] = refused.mistakes
    if isinstance(refused, configuration.ConfigurationRefused):
        body["problems"] = refused.problems
    response = _json(body, refused.status)
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="lb"'
    if refused.status in (429, 503):
        response.headers["Retry-After"] = "60" if refused.status == 429 else "1"
    return response


def _error(error: HTTPException) -> Response:
    status = error.code or 500
    response = _json({"error": error.description, "reason": _REASONS.get(status, "error"), "status": status}, status)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


app = AdminApp(lb.controller.instance)
