"""What of a request a hash policy hashes. Knows requests, not tables: those are in ``lb.policies``.

Worked out once per request, and only for a policy that hashes something other than the client's address.
A request without the header, cookie or query field it should be told by counts by its client's address.
"""

from __future__ import annotations

from collections.abc import Callable

from lb.http1.request import RequestHead
from lb.model import HashKey, HashOptions
from lb.proxy.router import query_values

KeyReader = Callable[[RequestHead], bytes]
"""Empty: the request has no such thing."""

MOST_LOOKED_AT = 32
"""Places in the cookies where the name may stand, as a part of another one too: a head has room for thousands."""

IDS, LOWEST_ID = 900_000, 100_000
"""Random keys are numbers of six digits: what a request is told by in the table ``contract``."""


def key_readers(options: HashOptions, random: Callable[[], float], inner: str = "") -> dict[str, KeyReader]:
    """By policy, for those that hash something else than the client's address. ``inner``: what ``geo`` chooses by."""
    own = options.key or HashKey()
    by_contract = options.key or HashKey("random")
    keys = {
        "consistent_hash": by_contract if options.table == "contract" else own,
        "ring_hash": own,
        "maglev": own,
        "url_hash": HashKey("url"),
        "contract_hash": by_contract,
    }
    if inner in keys:
        keys["geo"] = keys[inner]
    return {policy: _reader(key, random) for policy, key in keys.items() if key.kind != "client_ip"}


def _reader(key: HashKey, random: Callable[[], float]) -> KeyReader:
    name = key.name.encode()
    readers: dict[str, KeyReader] = {
        "url": lambda head: head.target,
        "path": lambda head: head.path,
        "random": lambda head: b"%d" % (LOWEST_ID + int(random() * IDS)),
        "header": lambda head: head.fields.value(name),
        "cookie": lambda head: cookie(head, name),
        "query": lambda head: _query(head, key.name),
    }
    return readers[key.kind]


def cookie(head: RequestHead, name: bytes) -> bytes:
    """The first cookie of that name (RFC 6265 section 4.2), or nothing."""
    start = name + b"="
    left = MOST_LOOKED_AT
    for value in head.fields.values(b"cookie"):
        at = value.find(start)
        while at >= 0 and left:
            left -= 1
            before = value[:at].rstrip(b" \t")
            if not before or before.endswith(b";"):
                return value[at + len(start) :].partition(b";")[0].rstrip(b" \t")
            at = value.find(start, at + 1)
    return b""


def _query(head: RequestHead, name: str) -> bytes:
    values = query_values(head, name)
    return values[0].encode() if values else b""
