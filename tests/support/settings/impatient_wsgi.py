"""gunicorn's settings beside a stock worker's: our application waits seconds for a client, not a minute."""

from __future__ import annotations

from importlib import import_module
from typing import Any

PIECE_TIMEOUT_S = 1.0
WRITE_S = 3.0


def post_worker_init(worker: Any) -> None:
    import_module("lb.server.wsgi").INPUT_PIECE_TIMEOUT_S = PIECE_TIMEOUT_S  # type: ignore[attr-defined]
    import_module("lb.server.deaf_client").WRITE_S = WRITE_S  # type: ignore[attr-defined]
