"""gunicorn's settings beside a stock worker's: our application waits a second for a piece of a body, not a minute."""

from __future__ import annotations

from importlib import import_module
from typing import Any

PIECE_TIMEOUT_S = 1.0


def post_worker_init(worker: Any) -> None:
    import_module("lb.server.wsgi").INPUT_PIECE_TIMEOUT_S = PIECE_TIMEOUT_S  # type: ignore[attr-defined]
