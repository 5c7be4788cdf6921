"""One object per request: who asked, which route and backend, how long each step took, and why.

Everything that decides or counts something about a request reads and writes it here; it is what the
access log line and the metrics are made of.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from lb.http1.forwarded import Caller
from lb.http1.request import IDEMPOTENT_METHODS, RequestHead
from lb.proxy.deadlines import NEVER, Deadline

if TYPE_CHECKING:
    from lb.proxy.body import RequestBody
    from lb.proxy.member import Member
    from lb.proxy.routes import LiveRoute
    from lb.proxy.upload import Upload
    from lb.proxy.waiting import Waiting

Interim = Callable[[bytes], None]


class Exchange:
    """Times are CLOCK_MONOTONIC seconds; 0.0: did not happen. ``reason``: a key of ``REASONS``, or nothing."""

    __slots__ = (
        "attempt_at", "attempts", "body", "body_timeout_s", "bytes_in", "bytes_out", "caller", "connect_s", "deadline", "ended", "first_byte_at",
        "free_attempts", "fresh_only", "head", "interim", "is_answering", "member", "policy", "queued_s", "reason", "request_id", "route",
        "session", "span", "started", "status", "total_at", "upgrade", "upload", "waiting",
    )  # fmt: skip

    def __init__(
        self, head: RequestHead, caller: Caller, ids: tuple[bytes, bytes], deadline: Deadline, started: float
    ) -> None:
        self.head = head
        self.caller = caller
        self.request_id, self.span = ids
        self.deadline = deadline
        self.started = started
        self.body: RequestBody | None = None
        self.body_timeout_s = 15.0
        self.interim: Interim | None = None
        self.upgrade = b""
        self.upload: Upload | None = None
        self.route: LiveRoute | None = None
        self.policy = ""
        self.member: Member | None = None
        self.attempts = 0
        self.free_attempts = 0
        """Of them, those that no backend has worked on: they count neither as retries nor against the budget."""
        self.attempt_at = 0.0
        self.fresh_only = False
        self.is_answering = False
        self.total_at = NEVER
        self.queued_s = 0.0
        """All its waits for a backend with room."""
        self.waiting: Waiting | None = None
        """Who waits for what this one has claimed."""
        self.session = b""
        """Its pool's sticky cookie, if the client sent one that we know (``lb.proxy.sticky``)."""
        self.connect_s = 0.0
        self.first_byte_at = 0.0
        self.ended = 0.0
        self.status = 0
        self.reason = ""
        self.bytes_in = 0
        self.bytes_out = 0

    def __repr__(self) -> str:
        name = self.member.name if self.member else "nobody"
        return f"<Exchange {self.head!r} attempt {self.attempts} on {name}: {self.status or 'open'} {self.reason}>"

    @property
    def told_id(self) -> bytes:
        """The request id that backend, client and log are told: a trusted peer's, else ours."""
        return self.caller.request_id or self.request_id

    @property
    def is_idempotent(self) -> bool:
        return self.head.method in IDEMPOTENT_METHODS

    @property
    def is_replayable(self) -> bool:
        """Whether everything sent to a backend so far can be sent to another."""
        return self.body is None or self.body.is_replayable

    def wait_for_head(self) -> None:
        """From now on the backend has its time to first byte, within the total."""
        member = self.member
        assert member is not None
        self.deadline.set(min(monotonic() + member.pool.timeouts.first_byte_s, self.total_at), "backend_timeout")

    def release(self) -> None:
        """The backend works on this no longer. May be called again; counts once."""
        member = self.member
        if member is not None and self.is_answering:
            self.is_answering = False
            member.end()
            if self.waiting is not None:
                self.waiting.freed()
