"""The one table error -> status, text and machine-readable reason, and the exceptions that carry it.

Pure: who raises knows what went wrong, who catches looks up how to answer. Nobody parses a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Answer(NamedTuple):
    status: int
    text: str
    close: bool
    """Whether the client's connection must end: its framing can no longer be trusted."""
    retry_after_s: int = 0


NO_CONTROLLER = (
    "The controller is not running. Under `lb run` it is started again by itself; "
    "without, start it: LB_CONFIG=FILE gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app"
)
REASONS: dict[str, Answer] = {
    # the client's bytes
    "bad_request": Answer(400, "Bad request", True),
    "bad_framing": Answer(400, "Bad message framing", True),
    "bad_host": Answer(400, "Bad or missing Host", True),
    "bad_target": Answer(400, "Bad request target", True),
    "ambiguous_path": Answer(400, "Ambiguous request path", False),
    "bad_chunk": Answer(400, "Bad chunked body", True),
    "body_truncated": Answer(400, "Request body ended early", True),
    "bad_proxy_header": Answer(400, "Bad PROXY protocol header", True),
    "not_tls": Answer(400, "Plain HTTP request sent to an HTTPS port", True),
    "invalid_algorithm": Answer(400, "Invalid algorithm specified", False),
    "route_not_found": Answer(404, "Service not found", False),
    "method_not_allowed": Answer(405, "Method not allowed", False),
    "head_timeout": Answer(408, "Request head took too long", True),
    "body_timeout": Answer(408, "Request body took too long", True),
    "body_too_large": Answer(413, "Request body too large", True),
    "uri_too_long": Answer(414, "Request target too long", True),
    "expectation_failed": Answer(417, "Expectation failed", True),
    "head_too_large": Answer(431, "Request header fields too large", True),
    "client_gone": Answer(499, "Client closed the connection", True),
    "too_many_connections": Answer(429, "Too many connections", True, 1),
    "rate_limited": Answer(429, "Too many requests", False, 1),
    "loop_detected": Answer(508, "Loop detected", False),
    "unknown_method": Answer(501, "Method not implemented", True),
    "unknown_coding": Answer(501, "Transfer coding not implemented", True),
    "upgrade_unsupported": Answer(501, "Upgrade not available on this path", True),
    "bad_version": Answer(505, "HTTP version not supported", True),
    # ours
    "internal_error": Answer(500, "Internal error", True),
    "draining": Answer(503, "Shutting down", True, 1),
    "no_backend": Answer(503, "No backend available", False, 1),
    "not_probed": Answer(503, "The backends have not been probed yet", False, 1),
    "no_controller": Answer(503, NO_CONTROLLER, False, 1),
    # the backend's
    "connect_failed": Answer(503, "No backend available", False, 1),
    "backend_full": Answer(503, "No backend available", False, 1),
    "queue_timeout": Answer(503, "No backend available", False, 1),
    "connect_timeout": Answer(504, "Backend timeout", False),
    "backend_timeout": Answer(504, "Backend timeout", False),
    "backend_reset": Answer(502, "Backend closed the connection", False),
    "backend_tls": Answer(502, "Backend TLS failed", False),
    "bad_response": Answer(502, "Backend sent an invalid response", False),
    "response_head_too_large": Answer(502, "Backend response head too large", False),
    "upstream_truncated": Answer(502, "Backend response ended early", True),
}


class LbError(Exception):
    """Something that has a reason. ``str()`` is for logs; the client sees the table's text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = 0
        """What the client is told, where it is more than the table has."""

    @property
    def answer(self) -> Answer:
        return REASONS[self.reason]


class RequestError(LbError):
    """The client's request cannot be served as it is; the reason's status is the answer."""


class RateLimited(RequestError):
    """Not now: a limit of requests per time has been reached. ``retry_after_s``: it may be tried again then."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("rate_limited")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Retryable:
    """What a failed attempt allows. ``nothing_sent``: no byte reached a backend, any method may be
    tried again; ``stale_reuse``: a pooled connection was closed under us before any answer byte."""

    nothing_sent: bool = False
    stale_reuse: bool = False


class AttemptError(LbError):
    """One attempt on one backend failed before its answer began."""

    def __init__(self, reason: str, detail: str = "", retry: Retryable = Retryable()) -> None:
        super().__init__(reason, detail)
        self.retry = retry


class AnswerAborted(LbError):
    """The answer's head is out and its body cannot be finished: the client's connection is cut."""


class ClientEnded(ConnectionError):
    """The client has closed its side between two requests, as clients do."""


class NothingSent(ConnectionError):
    """The connection was over before the kernel took a single byte of what was to be sent."""


class Unresolved(OSError):
    """A backend's host name has no address yet."""


class ConfigError(Exception):
    """A configuration that cannot be used. ``problems`` has every mistake, each one line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
