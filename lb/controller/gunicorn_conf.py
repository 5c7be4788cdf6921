"""gunicorn's settings for the controller: ``gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app``.

One gevent worker, whose loops start after the fork. Works under ``lb run`` and by hand, as
``lb.server.gunicorn_conf`` does. Every public name is a setting of gunicorn; what is not said here is
said in ``gunicorn_settings``.
"""

from __future__ import annotations

import os
from typing import Any

import lb.controller
from lb.launch import loaded
from lb.supervisor import bare
from lb.supervisor.addresses import control_binds
from lb.supervisor.booting import end_booting_workers
from lb.supervisor.gunicorn_settings import *  # noqa: F403

_config = bare.snapshot_in_force(os.environ).config

end_booting_workers()

bind = bare.listen(control_binds(_config), os.environ)
proc_name = "lb-control"
worker_class = "lb.controller.worker.ControllerWorker"
workers = 1  # more would probe everything more than once
worker_connections = 10_000
graceful_timeout = 5
keepalive = 5


def post_worker_init(worker: Any) -> None:
    """The app is loaded and gevent runs: start the loops."""
    loaded()
    lb.controller.start()
