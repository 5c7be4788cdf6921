"""The names a configuration may use, and actions that it may not use yet. Literal tables, no logic.

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
    "least_response_time",
    "ip_hash",
    "power_of_two",
    "random",
    "peak_ewma",
    "prequal",
    "adaptive",
    "consistent_hash",
    "ring_hash",
    "maglev",
    "url_hash",
    "contract_hash",
    "sticky_round_robin",
    "custom",
    "geo",
    "geo_aware",
)
INNER_POLICIES = tuple(name for name in POLICIES if name not in ("geo", "geo_aware", "custom"))
"""What ``geo`` can choose by within a region."""
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
ACTIONS = ("metrics", "health")
LATER_ACTIONS = ("replicas", "queue", "broadcast")
KNOWN_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
"""Passed on without ``unknown_methods`` (RFC 9110 section 9.3 and RFC 5789)."""
REFUSED_METHODS = ("CONNECT", "TRACE")
RESERVED_POOLS = ("control",)
"""Pools that are built in; a pool of this name would hide them."""
SYNONYMS = {
    **dict.fromkeys(("frontend", "frontends", "entrypoints"), ("listeners",)),
    **dict.fromkeys(("upstream", "cluster", "service", "backend", "proxy_pass", "use_backend"), ("pool", "pools")),
    **dict.fromkeys(("upstreams", "clusters", "services"), ("pools",)),
    **dict.fromkeys(("server", "servers", "targets", "targeturls", "endpoints"), ("backends",)),
    **dict.fromkeys(("rules", "routers", "locations"), ("routes",)),
    **dict.fromkeys(("vhost", "domain", "server_name"), ("host",)),
    **dict.fromkeys(("prefix", "path_prefix", "pathprefix", "location"), ("path",)),
    **dict.fromkeys(("algorithm", "algorythm", "strategy", "balance", "lb_method"), ("policy",)),
    **dict.fromkeys(("listen", "address"), ("bind", "url")),
    **dict.fromkeys(("maxconn", "max_conns"), ("max_inflight",)),
    **dict.fromkeys(("source", "hash_ip"), ("ip_hash",)),
    **dict.fromkeys(("p2c", "random_two"), ("power_of_two",)),
    **dict.fromkeys(("wrr", "weighted"), ("weighted_round_robin",)),
    **dict.fromkeys(("rr", "static-rr"), ("round_robin",)),
    "sticky": ("sticky_round_robin",),
    "ewma": ("peak_ewma",),
    **dict.fromkeys(("least_time", "leasttime"), ("least_response_time",)),
}
"""What other balancers call a thing -> what we do; the first that fits where it is written is suggested."""
