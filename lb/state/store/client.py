"""From the store's address to a redis-py client. The one place that imports redis for the controller's loops.

Every call is bounded in time: the greenlet that makes it waits at most ``TIMEOUT_S`` to connect and as long for an
answer, and never repeats by itself: what to do after a failure is ``lb.state.store.link``'s to say.
"""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from lb.config.store_url import StoreAddress

TIMEOUT_S = 0.5
"""A store in the same network answers in a millisecond; one that takes longer than this is taken for gone."""
MAX_CONNECTIONS = 16
"""Of one controller: a few loops, each with at most one call under way, and one connection that listens."""


def connect(address: StoreAddress, name: str) -> Any:
    """A client; nothing is sent before its first call, but a cluster's nodes are asked for their slots now.

    ``name`` is what ``CLIENT LIST`` shows. redis.RedisError or OSError where the cluster cannot be asked.
    """
    options = _options(address, name)
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]  # type: ignore[no-untyped-call]
        return RedisCluster(startup_nodes=nodes, **options)
    options |= {"db": address.database, "max_connections": MAX_CONNECTIONS}
    if address.kind == "sentinel":
        tls = _tls(address)
        login = {"password": address.sentinel_password} if address.sentinel_password else {}
        timeouts = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
        sentinel = Sentinel(list(address.hosts), sentinel_kwargs={**timeouts, **tls, **login})  # type: ignore[no-untyped-call]
        return sentinel.master_for(address.name, **options)  # type: ignore[no-untyped-call]
    if address.unix_path:
        return Redis(unix_socket_path=address.unix_path, **options)
    host, port = address.hosts[0]
    return Redis(host=host, port=port, **options)


def _options(address: StoreAddress, name: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "encoding_errors": "replace",
        "client_name": name,
        **_tls(address),
    }
    if address.user:
        options["username"] = address.user
    if address.password:
        options["password"] = address.password
    return options


def _tls(address: StoreAddress) -> dict[str, Any]:
    return {"ssl": True, **({"ssl_ca_certs": address.ca} if address.ca else {})} if address.tls else {}
