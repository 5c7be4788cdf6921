"""What people ask for and lb does not do, or not yet, under whatever name they know it. A literal table."""

from __future__ import annotations

import re

_NOT_OURS = "is not something lb does"
_HTTP_ONLY = f"{_NOT_OURS}: it balances HTTP, not TCP connections"
_NOT_YET = "is not available yet"
_ONE_ONE = f"{_NOT_YET}: lb speaks HTTP/1.1 on both sides"
_LATER = "is not available in this version"

_NAMES = {
    f"{_NOT_OURS}: it speaks HTTP/1.1 to clients, HTTP/3 belongs in front of it": ("h3", "http3", "quic"),
    _HTTP_ONLY: ("tcp", "l4", "layer4", "stream", "mqtt"),
    f"{_NOT_OURS}: it balances HTTP, not UDP datagrams": ("udp", "dtls"),
    f"{_NOT_OURS}: it balances HTTP only, so a protocol is never chosen": ("protocol", "protocols", "mode"),
    f"{_NOT_OURS}: put a cache before or behind it": ("cache", "caching", "httpcache", "proxycache"),
    f"{_NOT_OURS}: a rule engine belongs in its own process": ("waf", "modsecurity", "coraza", "owasp", "crs"),
    f"{_NOT_OURS}: service-mesh identity is the mesh's work": ("mesh", "servicemesh", "spiffe", "spire", "istio"),
    f"{_NOT_OURS}: let an ACME client write `tls.cert` and `tls.key`, they reload without a restart": (
        *("acme", "letsencrypt", "autohttps", "autotls", "autocert", "certbot", "certmagic", "certresolver"),
    ),
    _ONE_ONE: ("http2", "h2", "h2c", "grpc", "grpcs", "grpcweb"),
    f"{_ONE_ONE}, and offers nothing else": ("alpn",),
    f"{_NOT_YET}: bodies pass through as they are": (
        *("compression", "compress", "encode", "gzip", "deflate", "brotli", "br", "zstd"),
    ),
    "is written on a route: `{pool: web, rate_limit: 100/s}`": ("ratelimit", "ratelimits", "limitreq", "throttle"),
    _NOT_YET: ("forwardauth", "authrequest", "extauthz", "externalauth"),
    f"{_LATER}: what is forwarded is what the client sent": ("stripprefix", "rewrite"),
    _LATER: (
        *("broadcast", "discovery", "breaker", "circuitbreaker"),
        *("replicas", "autoscale", "autoscaling", "mirror", "basicauth", "cors", "allow", "deny", "mtls", "clientca"),
        *("clientauth", "requestheaders", "responseheaders", "headersup", "headersdown"),
    ),
}
_INSIDE = {
    ("ratelimit", "key"): f"{_LATER}: a rate limit is of all requests of its route together",
}
"""What is known elsewhere, and not yet in this section."""
_REASONS = {name: reason for reason, names in _NAMES.items() for name in names}
_besides = re.compile(r"[^a-z0-9]")


def absence(name: str, section: str = "") -> str:
    """The end of the sentence about ``name``, as a key of ``section``; empty if it is nothing that we know of. ``HTTP/3``,
    ``http_3`` and ``enable_http3`` are one name."""
    plain = _plain(name)
    return _INSIDE.get((_plain(section), plain), "") or _REASONS.get(plain, "")


def _plain(name: str) -> str:
    return _besides.sub("", name.lower()).removeprefix("enable")
