"""gunicorn's settings of the data plane, with workers that spin for ever from SIGUSR2 on.

``timeout``, after which the arbiter gives a worker up, is ``LB_TEST_TIMEOUT_S`` if that is set.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from lb.server import gunicorn_conf
from lb.server.gunicorn_conf import *  # noqa: F403

timeout = int(os.environ.get("LB_TEST_TIMEOUT_S", gunicorn_conf.timeout))


def post_worker_init(worker: Any) -> None:
    signal.signal(signal.SIGUSR2, _spin)


def _spin(*_: object) -> None:
    while True:
        pass
