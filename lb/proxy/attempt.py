"""attempt: one try on one backend, from a connection to the answer's head.

Knows one backend only; whether another is tried is ``lb.proxy.forward``'s decision, made from the
``AttemptError`` raised here. May be longer than the house rule: this is the request path.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from lb.errors import AnswerAborted, AttemptError, NothingSent, RequestError, Retryable
from lb.http1.forwarded import identity_lines
from lb.http1.response import (
    NO_BODY_STATUSES,
    BadResponse,
    ResponseHead,
    find_response_head_end,
    parse_response,
)
from lb.proxy.answer import LENGTH, NO_BODY, UNKNOWN_LENGTH, Answer, ChunkedReader, CloseReader, LengthReader
from lb.proxy.date import date_line
from lb.proxy.deadlines import NEVER, Expired
from lb.proxy.exchange import Exchange
from lb.proxy.load_reports import hear_load
from lb.proxy.member import BackendConnection, Member
from lb.proxy.stream import TURN_MASK
from lb.proxy.upload import Upload

MAX_INTERIM: Final = 10
NOTHING_SENT = Retryable(nothing_sent=True)
NO_RETRY = Retryable()


def attempt(exchange: Exchange, member: Member) -> Answer:
    """The backend's answer. AttemptError if it gave none, RequestError if the client's body failed."""
    deadline = exchange.deadline
    started = exchange.attempt_at
    try:
        connection = member.checkout(
            deadline, exchange.total_at, fresh_only=exchange.fresh_only, thoroughly=not exchange.is_idempotent
        )
    except Expired as expired:
        if expired.reason != "connect_timeout":
            raise
        if monotonic() - started >= member.pool.timeouts.connect_s:  # and not the request's own time that was over
            member.refused()
        raise AttemptError("connect_timeout", member.name, NOTHING_SENT) from expired
    sent_at = monotonic()
    exchange.connect_s += sent_at - started
    exchange.wait_for_head()
    try:
        _send(exchange, member, connection)
        head, rest = _read_head(exchange, connection)
        exchange.first_byte_at = now = monotonic()
        deadline.at = NEVER
        answer = _answer(exchange, connection, head, rest)
    except BadResponse as bad:
        connection.close()
        raise AttemptError(bad.reason, bad.detail, NO_RETRY) from bad
    except NothingSent as unsent:
        connection.close()
        retry = Retryable(nothing_sent=exchange.is_replayable, stale_reuse=connection.is_reused)
        raise AttemptError("backend_reset", str(unsent), retry) from unsent
    except OSError as broken:
        connection.close()
        raise AttemptError("backend_reset", str(broken), Retryable(stale_reuse=connection.is_reused)) from broken
    except BaseException:
        connection.reset()  # given up: what the kernel has not delivered yet must not be worked on
        raise
    ejection_s = member.observe(head.status, now - sent_at, now)
    if head.fields.load_lines and member.hears_load:
        hear_load(member, head.fields.load_lines, now)
    if ejection_s:
        member.wants_ejection_s = ejection_s
    return answer


# --- what we send


def _send(exchange: Exchange, member: Member, connection: BackendConnection) -> None:
    body = exchange.body
    if body is None:
        connection.send(request_bytes(exchange, member))
        return
    connection.send(request_bytes(exchange, member) + body.take())
    if not body.is_done:
        if body.expects_continue and not body.received and exchange.interim is not None:
            body.expects_continue = False
            _tell(exchange, b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.upload = Upload(exchange, connection)


def _tell(exchange: Exchange, interim: bytes) -> None:
    """An interim answer to the client; that it has left is not the backend's fault."""
    assert exchange.interim is not None
    try:
        exchange.interim(interim)
    except OSError as error:
        raise RequestError("client_gone", str(error)) from error


def request_bytes(exchange: Exchange, member: Member) -> bytes:
    """The head we send: the client's own end-to-end lines, then ours."""
    head = exchange.head
    fields = head.fields
    caller = exchange.caller
    host = member.authority if member.pool.host_header == "backend" else head.authority or member.authority
    identity = identity_lines(caller, exchange.request_id, exchange.span)
    if exchange.body is not None:
        identity += exchange.body.framing()
    elif fields.content_length == 0:
        identity += b"Content-Length: 0\r\n"
    if exchange.upgrade:
        identity += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % exchange.upgrade
    if fields.te_trailers:
        identity += b"TE: trailers\r\nConnection: TE\r\n"
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%b\r\n" % (
        head.method, head.target, host, fields.kept, caller.lines, identity,
    )  # fmt: skip


# --- what we read


def _read_head(exchange: Exchange, connection: BackendConnection) -> tuple[ResponseHead, bytes]:
    buffer = _recv(exchange, connection)
    if buffer:
        connection.is_reused = False  # whatever happens now, it was not stale
    interims = pieces = 0
    while True:
        end = find_response_head_end(buffer) if buffer else 0
        if end:
            head = parse_response(buffer[:end], connection.fields)
            buffer = buffer[end:]
            if head.status >= 200:
                connection.fields = head.fields
                return head, buffer
            if head.status == 101:
                _check_switch(exchange, head)
                return head, buffer
            interims += 1
            if interims > MAX_INTERIM:
                raise BadResponse(f"more than {MAX_INTERIM} interim answers")
            if exchange.interim is not None and head.status != 100:
                _tell(exchange, head.line + head.fields.kept + b"\r\n")
                exchange.wait_for_head()
            if buffer:
                continue
        pieces += 1
        if not pieces & TURN_MASK:
            connection.let_others()
        more = _recv(exchange, connection)
        if not more:
            _ended_early(exchange, connection, buffer)
        buffer += more


def _recv(exchange: Exchange, connection: BackendConnection) -> bytes:
    """What the backend says next; the request's body goes on meanwhile, if it still streams."""
    upload = exchange.upload
    return connection.recv_later() if upload is None else upload.recv()


def _ended_early(exchange: Exchange, connection: BackendConnection, buffer: bytes) -> None:
    stale = connection.is_reused and not buffer
    is_unseen = stale and not exchange.is_idempotent and _is_unseen(exchange, connection)
    raise AttemptError(
        "backend_reset",
        f"closed after {len(buffer)} bytes of the head",
        Retryable(nothing_sent=is_unseen, stale_reuse=stale),
    )


def _is_unseen(exchange: Exchange, connection: BackendConnection) -> bool:
    """Whether nothing of this request reached a process, so that RFC 9110 section 9.2.2 lets it be sent again."""
    body = exchange.body
    if body is not None and not body.is_replayable:
        return False
    assert exchange.member is not None
    size = len(request_bytes(exchange, exchange.member)) + (0 if body is None else body.sent_bytes)
    return connection.never_took(size)


def _check_switch(exchange: Exchange, head: ResponseHead) -> None:
    """A tunnel begins only with the 101 we asked for (RFC 9110 section 7.8)."""
    if not exchange.upgrade or head.fields.upgrade.partition(b"/")[0] != exchange.upgrade.partition(b"/")[0]:
        raise BadResponse("101 nobody asked for")


def _answer(exchange: Exchange, connection: BackendConnection, head: ResponseHead, rest: bytes) -> Answer:
    fields = head.fields
    out = head.line + fields.kept
    if fields.load_lines and connection.member.pool.forward_load_reports:
        out += fields.load_lines
    if not fields.has_date:
        out += date_line()
    reusable = head.reusable and exchange.upload is None  # what is left of a body would be the next request
    if head.status == 101:
        answer = Answer(101, head.line + fields.kept, NO_BODY, rest)
        answer.tunnel = connection
        return answer
    length = fields.content_length
    if exchange.head.method == b"HEAD" or head.status in NO_BODY_STATUSES:
        if length >= 0 and head.status != 204:
            out += fields.length_line
        _done_with(connection, reusable=reusable and not rest)
        return Answer(head.status, out, NO_BODY, b"")
    if fields.chunked:
        return _chunked(exchange, connection, head.status, out, rest, reusable=reusable)
    if length < 0:
        reader = CloseReader(connection, exchange, reusable=False)
        return Answer(head.status, out, UNKNOWN_LENGTH, rest, reader)
    out += fields.length_line
    if len(rest) >= length:
        _done_with(connection, reusable=reusable and len(rest) == length)
        return Answer(head.status, out, LENGTH, rest if len(rest) == length else rest[:length])
    return Answer(
        head.status, out, LENGTH, rest, LengthReader(connection, exchange, length - len(rest), reusable=reusable)
    )


def _chunked(
    exchange: Exchange, connection: BackendConnection, status: int, out: bytes, rest: bytes, *, reusable: bool
) -> Answer:
    chunked = ChunkedReader(connection, exchange, rest, reusable=reusable)
    try:
        first = chunked.start()
    except AnswerAborted as error:  # nothing of it went out yet: it can still be an honest 502
        raise BadResponse(error.detail) from error
    return Answer(status, out, UNKNOWN_LENGTH, first, chunked)


def _done_with(connection: BackendConnection, *, reusable: bool) -> None:
    if reusable:
        connection.member.give_back(connection, monotonic())
    else:
        connection.close()
