"""The WSGI application of one demo backend: a literal table of endpoints, and the way through it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from backends import bodies, cuts, switches, websocket
from backends.contract import Contract
from backends.exchange import Reply, Request, json_reply
from backends.load import Meter
from backends.profiles import Profile

Endpoint = Callable[[Request], Reply]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

READING = frozenset(("GET", "HEAD"))
ANY: frozenset[str] = frozenset()
POSTING = frozenset(("POST",))


def endpoints(contract: Contract) -> dict[str, tuple[frozenset[str], Endpoint]]:
    """Path -> (methods, endpoint); ``ANY`` takes every method."""
    return {
        "/": (ANY, contract.index),
        "/health": (READING, contract.health),
        "/metrics": (READING, contract.metrics),
        "/home": (READING, contract.home),
        "/heartbeat": (READING, contract.heartbeat),
        "/login": (READING, contract.login),
        "/register": (POSTING, contract.register),
        "/changePassword": (POSTING, contract.change_password),
        "/echo": (ANY, bodies.echo),
        "/chunked": (READING, bodies.chunked),
        "/drip": (READING, bodies.drip),
        "/sse": (READING, bodies.sse),
        "/ws": (ANY, websocket.endpoint),
        "/close": (ANY, cuts.close),
        "/abort": (ANY, cuts.abort),
    }


class App:
    """Answers the requests of one backend. The server around it keeps ``meter``."""

    def __init__(self, profile: Profile, *, name: str = "", skips_posts: bool = False, seed: int | None = None) -> None:
        self.meter = Meter()
        self.dice = random.Random(seed)
        self.contract = Contract(profile, name or profile.name, self.meter, self.dice, skips_posts)
        self._endpoints = endpoints(self.contract)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        return send(self._reply(request), request, start_response)

    def _reply(self, request: Request) -> Reply:
        try:
            return switches.apply(request, self.dice) or self._endpoint(request)(request)
        except switches.BadSwitch as problem:
            return json_reply({"error": str(problem)}, 400)

    def _endpoint(self, request: Request) -> Endpoint:
        if request.path.startswith("/bytes/"):
            return bodies.numbered_bytes
        methods, endpoint = self._endpoints.get(request.path, (ANY, not_found))
        return method_not_allowed if methods and request.method not in methods else endpoint


def not_found(request: Request) -> Reply:
    return json_reply({"error": f"no such endpoint: {request.path}"}, 404)


def method_not_allowed(request: Request) -> Reply:
    return json_reply({"error": f"{request.method} is not allowed here"}, 405)


def send(reply: Reply, request: Request, start_response: StartResponse) -> Iterable[bytes]:
    """Starts the answer. To HEAD the body is described and not sent (RFC 9110 section 9.3.2)."""
    headers = list(reply.headers)
    if reply.content_type and reply.status not in (204, 304):
        headers.append(("Content-Type", reply.content_type))
    if isinstance(reply.body, tuple) and reply.status not in (204, 304):
        headers.append(("Content-Length", str(sum(map(len, reply.body)))))
    write = start_response(reply.status_line, headers)
    if reply.status == 101:
        write(b"")  # the head goes out now: the peer waits for it before it sends anything
    return () if request.method == "HEAD" else reply.body
