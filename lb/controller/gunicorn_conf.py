"""gunicorn's settings for the controller: ``gunicorn -c python:lb.controller.gunicorn_conf lb.admin.app:app``.

One gevent worker, whose loops start after the fork. Works under ``lb run`` and by hand, as
``lb.server.gunicorn_conf`` does. Every public name is a setting of gunicorn.
"""

from __future__ import annotations

import os
from typing import Any

import lb.controller
from lb.supervisor import bare
from lb.supervisor.addresses import control_binds
from lb.supervisor.booting import end_booting_workers

_snapshot = bare.snapshot_in_force(os.environ)

end_booting_workers()

bind = bare.listen(control_binds(_snapshot.config), os.environ)
backlog = 2048
reuse_port = False

worker_class = "gevent"
workers = 1  # more would probe everything more than once
worker_connections = 10_000
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
preload_app = False
timeout = 30
graceful_timeout = 5
keepalive = 5
max_requests = 0

proc_name = "lb-control"
logger_class = "lb.supervisor.gunicorn_log.KeyValueLogger"
errorlog = "-"
accesslog = None
loglevel = "info"

limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"
proxy_protocol = False

control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """The app is loaded and gevent runs: start the loops."""
    lb.controller.start()


def pre_exec(server: Any) -> None:
    """gunicorn's own USR2 (by hand only): the new master inherits the sockets and must know their names."""
    server.cfg.env_orig["LISTEN_FDNAMES"] = os.environ.get("LISTEN_FDNAMES", "")


def on_reload(server: Any) -> None:
    """gunicorn's own HUP (by hand only) reads the file again."""
    for problem in bare.publish_again(os.environ):
        server.log.error("configuration refused: %s", problem)
