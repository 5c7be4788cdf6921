"""Sessions that stay on their backend: a cookie whose value names it, and that nobody else can make.

The value is a keyed digest of pool and backend, worked out once per backend: a request costs one look-up, nothing is
kept per session, and all workers, and machines with the same key, agree. It tells a client nothing but whether
two of its values are the same.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from lb.errors import AttemptError
from lb.http1.request import RequestHead
from lb.model import Backend, Sticky
from lb.proxy.answer import Answer
from lb.proxy.exchange import Exchange
from lb.proxy.member import Member

if TYPE_CHECKING:
    from lb.proxy.pool import LivePool

SIZE: Final = 22
"""Of a value: 128 bits in base 64 (RFC 4648 section 5), without padding."""
PRIVATE: Final = b"Cache-Control: private\r\n"
"""A cache that others share must not hand one client's cookie to the next (RFC 9111 section 7.3)."""
_is_private = re.compile(rb"(?:private|no-store)(?![^, \t=])", re.IGNORECASE).search
_BEFORE: Final = frozenset((b";", b" ", b"\t", b":"))
_MOST_LOOKED_AT: Final = 32
"""Cookies of the name in one request, forged ones included: a head has room for thousands, which would take 4 ms."""
_BEHIND: Final = frozenset((b";", b" ", b"\t", b"\r"))


class StickySessions:
    """Of one pool on one worker. Positions are those in the pool's members."""

    def __init__(self, pool_id: str, options: Sticky, backends: Sequence[Backend]) -> None:
        self._name = options.cookie.encode() + b"="
        self._positions: dict[bytes, int] = {}
        self._tokens: dict[str, bytes] = {}
        """By backend id: the value that is given out."""
        for key in reversed(options.keys):
            sign = _signer(key, pool_id)
            for i, backend in enumerate(backends):
                made = sign(backend.id)
                self._positions[made] = i
                self._tokens[backend.id] = made
        self._before = f"Set-Cookie: {options.cookie}=".encode()
        self._behind = _attributes(options)

    def __repr__(self) -> str:
        return f"<StickySessions {self._name.decode()}... of {len(self._tokens)} backends>"

    def claim(self, exchange: Exchange, pool: LivePool, policy: str, key: bytes, excluded: Sequence[Member]) -> Member:
        """The session's backend while it may be asked and was not tried yet, else as the pool's ``pick`` or
        ``Waiting.claim``, which raise as they do.

        One that is full is waited for, within the pool's ``queue``; nobody waits for it where the queue is full.
        """
        session = exchange.session = exchange.session or self._session_of(exchange.head)
        waiting = pool.waiting
        if session:
            i = self._positions[session]
            if pool.members[i] not in excluded and pool.may_keep(i):
                member = pool.keep(i) if waiting is None or not len(waiting) else None
                if member is not None:
                    return member
                if waiting is not None:
                    others = [one for one in pool.members if one is not pool.members[i]]
                    try:
                        return waiting.claim(exchange, policy, key, others)
                    except AttemptError as error:
                        if error.reason == "queue_timeout":
                            raise
        if waiting is None:
            return pool.pick(policy, key, excluded)
        return waiting.claim(exchange, policy, key, excluded)

    def tell(self, exchange: Exchange, answer: Answer) -> None:
        """Gives the client the cookie of the backend that answered, unless it has that."""
        member = exchange.member
        assert member is not None
        wanted = self._tokens.get(member.backend.id)
        if wanted is None or exchange.session == wanted:  # None: a reload added it while the request waited
            return
        answer.head += self._before + wanted + self._behind[exchange.caller.scheme == b"https"]
        if not _says_private(answer.head):
            answer.head += PRIVATE

    def _session_of(self, head: RequestHead) -> bytes:
        """The first value among the request's cookies that is one of ours; nothing: there is none."""
        block, name = head.fields.block, self._name
        at = block.find(name)
        left = _MOST_LOOKED_AT
        while at >= 0 and left:
            left -= 1
            start = at + len(name)
            end = start + SIZE
            value = block[start:end]
            is_whole = block[at - 1 : at] in _BEFORE and block[end : end + 1] in _BEHIND
            if is_whole and value in self._positions and _is_in_cookies(block, at):
                return value
            at = block.find(name, start)
        return b""


def _is_in_cookies(block: bytes, at: int) -> bool:
    start = block.rfind(b"\n", 0, at) + 1
    return block[start : start + 7].lower() == b"cookie:"


def token(key: str, pool_id: str, backend_id: str) -> bytes:
    """``SIZE`` characters that stand for a backend of a pool."""
    return _signer(key, pool_id)(backend_id)


def _signer(key: str, pool_id: str) -> Callable[[str], bytes]:
    keyed = blake2b(f"{pool_id}\0".encode(), key=blake2b(key.encode()).digest(), digest_size=16)

    def sign(backend_id: str) -> bytes:
        signed = keyed.copy()
        signed.update(backend_id.encode())
        return urlsafe_b64encode(signed.digest())[:SIZE]

    return sign


def _attributes(options: Sticky) -> tuple[bytes, bytes]:
    """What stands behind the value for a client that came by http, and for one that came by https."""
    plain = f"; Path={options.path}"
    if options.domain:
        plain += f"; Domain={options.domain}"
    if options.max_age_s is not None:
        plain += f"; Max-Age={int(options.max_age_s)}"
    if options.http_only:
        plain += "; HttpOnly"
    if options.same_site != "unset":
        plain += f"; SameSite={options.same_site.capitalize()}"
    secure = plain + "; Secure"
    by_http, by_https = secure if options.secure else plain, plain if options.secure is False else secure
    return f"{by_http}\r\n".encode(), f"{by_https}\r\n".encode()


def _says_private(head: bytes) -> bool:
    return any(line[:14].lower() == b"cache-control:" and _is_private(line[14:]) for line in head.split(b"\r\n"))
