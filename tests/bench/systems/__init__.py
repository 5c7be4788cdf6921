"""Every balancer the bench knows: one literal table."""

from __future__ import annotations

from tests.bench.systems import caddy, haproxy, nginx, ours, traefik
from tests.bench.systems.base import System

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        ours.WORKER_PATH,
        ours.AS_WRITTEN,
        nginx.SAME,
        nginx.BARE,
        haproxy.SAME,
        haproxy.BARE,
        traefik.PLAIN,
        traefik.LOGGED,
        caddy.PLAIN,
        caddy.LOGGED,
        ours.WSGI_PATH,
    )
}
