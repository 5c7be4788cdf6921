"""gunicorn's settings of the data plane, with the kernel's timers for clients ten times as quick."""

from __future__ import annotations

from typing import Any

from lb.server.gunicorn_conf import *  # noqa: F403


def post_fork(server: Any, worker: Any) -> None:
    from lb.server import accept

    accept.KEEPALIVE_IDLE_S, accept.KEEPALIVE_INTERVAL_S, accept.USER_TIMEOUT_MS = 1, 1, 3000
