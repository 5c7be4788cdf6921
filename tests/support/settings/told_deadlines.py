"""gunicorn's settings of the data plane, with a worker that writes down when its requests' time will be up.

``deadlines`` beside the configuration: the latest moment (CLOCK_MONOTONIC, in seconds) by reason, as JSON.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from lb.server.gunicorn_conf import *  # noqa: F403


def post_fork(server: Any, worker: Any) -> None:
    module: Any = import_module("lb.server.worker")
    usual = module.Sweeper

    def telling(hub: Any) -> Any:
        sweeper = usual(hub)
        sweeper.every_sweep(_Told(sweeper).look)
        return sweeper

    module.Sweeper = telling


class _Told:
    def __init__(self, sweeper: Any) -> None:
        self._sweeper = sweeper
        self._file = Path(os.environ["LB_CONFIG"]).with_name("deadlines")
        self._latest: dict[str, float] = {}

    def look(self, now: float) -> None:
        latest = dict(self._latest)
        for one in self._sweeper.deadlines:
            if now < one.at < float("inf"):
                latest[one.reason] = max(one.at, latest.get(one.reason, 0.0))
        if latest != self._latest:
            self._latest = latest
            unfinished = self._file.with_suffix(".new")
            unfinished.write_text(json.dumps(latest))
            unfinished.replace(self._file)
