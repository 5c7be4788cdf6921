"""The names a configuration may use, and those it may not use yet. Literal tables, no logic.

``lb.policies`` has the code behind the policy names, ``lb.http1`` that behind the methods; a test
compares them.
"""

from __future__ import annotations

from typing import Literal

from lb.model import TableKind

POLICIES = (
    "round_robin",
    "weighted_round_robin",
    "least_connections",
    "ip_hash",
    "power_of_two",
    "random",
    "peak_ewma",
    "adaptive",
    "consistent_hash",
    "ring_hash",
    "maglev",
    "url_hash",
    "contract_hash",
)
HASH_TABLES: dict[str, TableKind | Literal[""]] = {
    "consistent_hash": "",
    "ring_hash": "ring",
    "maglev": "maglev",
    "url_hash": "",
    "contract_hash": "contract",
}
"""The policies that hash a key by a table, and the table that their name stands for; empty: any."""
TABLES = ("ring", "maglev", "rendezvous", "contract")
PLAIN_KEYS = ("client_ip", "url", "path", "random")
NAMED_KEYS = ("header", "cookie", "query")
REQUEST_HASHES = {"contract": (1, 2, 17), "squareless": (0, 3, 17), "crc32": ()}
"""Coefficients of i^2, i and 1. ``squareless`` is what two well-known copies of the assignment made of it."""
SERVER_HASHES = {"contract": (1, 0, 1, 2, 25), "squareless": (0, 1, 0, 3, 25), "crc32": ()}
"""Coefficients of i^2, i, j^2, j and 1."""
LATER_POLICIES = (
    "geo_aware",
    "least_response_time",
    "sticky",
)
ACTIONS = ("metrics", "health")
LATER_ACTIONS = ("replicas", "queue", "broadcast")
KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
"""Passed on without ``unknown_methods`` (RFC 9110 section 9.3 and RFC 5789)."""
REFUSED_METHODS = ("CONNECT", "TRACE")
RESERVED_POOLS = ("control",)
"""Pools that are built in; a pool of this name would hide them."""

_LATER = "is not available in this version"
ABSENT_KEYS = {
    "http3": "is not something lb does: it speaks HTTP/1.1 to clients, HTTP/3 belongs in front of it",
    "quic": "is not something lb does: it speaks HTTP/1.1 to clients, HTTP/3 belongs in front of it",
    "tcp": "is not something lb does: it balances HTTP, not TCP connections",
    "udp": "is not something lb does: it balances HTTP, not UDP datagrams",
    "protocol": "is not something lb does: it balances HTTP only, so a protocol is never chosen",
    "cache": "is not something lb does: put a cache before or behind it",
    "proxy_cache": "is not something lb does: put a cache before or behind it",
    "waf": "is not something lb does: a rule engine belongs in its own process",
    "modsecurity": "is not something lb does: a rule engine belongs in its own process",
    "coraza": "is not something lb does: a rule engine belongs in its own process",
    "stream": "is not something lb does: it balances HTTP, not TCP connections",
    "mqtt": "is not something lb does: it balances HTTP, not TCP connections",
    "mesh": "is not something lb does: service-mesh identity is the mesh's work",
    "spiffe": "is not something lb does: service-mesh identity is the mesh's work",
    "acme": "is not something lb does: let an ACME client write `tls.cert` and `tls.key`, they reload without a restart",
    "letsencrypt": "is not something lb does: let an ACME client write `tls.cert` and `tls.key`",
    "auto_https": "is not something lb does: let an ACME client write `tls.cert` and `tls.key`",
    "http2": "is not available yet: lb speaks HTTP/1.1 on both sides",
    "h2": "is not available yet: lb speaks HTTP/1.1 on both sides",
    "grpc": "is not available yet: lb speaks HTTP/1.1 on both sides",
    "alpn": "is not available yet: lb speaks HTTP/1.1 on both sides, and offers nothing else",
    "h2c": "is not available yet: lb speaks HTTP/1.1 on both sides",
    "compression": "is not available yet: bodies pass through as they are",
    "compress": "is not available yet: bodies pass through as they are",
    "brotli": "is not available yet: bodies pass through as they are",
    "zstd": "is not available yet: bodies pass through as they are",
    "gzip": "is not available yet: bodies pass through as they are",
    "forward_auth": "is not available yet",
    "auth_request": "is not available yet",
    "ext_authz": "is not available yet",
    "rate_limit": _LATER,
    "sticky": _LATER,
    "broadcast": _LATER,
    "discovery": _LATER,
    "geo": _LATER,
    "breaker": _LATER,
    "circuit_breaker": _LATER,
    "outlier": _LATER,
    "slow_start": _LATER,
    "replicas": _LATER,
    "autoscale": _LATER,
    "autoscaling": _LATER,
    "mirror": _LATER,
    **dict.fromkeys(("strip_prefix", "rewrite"), f"{_LATER}: what is forwarded is what the client sent"),
    "request_headers": _LATER,
    "response_headers": _LATER,
    "headers_up": _LATER,
    "headers_down": _LATER,
    "basic_auth": _LATER,
    "cors": _LATER,
    "allow": _LATER,
    "deny": _LATER,
}
"""Keys that people ask for, wherever they write them, and the end of the sentence about them."""
