"""gunicorn's settings for the data plane: ``gunicorn -c python:lb.server.gunicorn_conf lb.wsgi:app``.

Works under ``lb run`` and by hand (then ``LB_CONFIG`` names the file, default ``lb.yaml``). Every
public name is a setting of gunicorn; what is not said here is its default. Loads nothing that a
worker must not load: workers are forks of the process that reads this.
"""

from __future__ import annotations

import math
import os
from typing import Any

from lb.supervisor import bare
from lb.supervisor.addresses import data_binds
from lb.supervisor.booting import end_booting_workers

_snapshot = bare.snapshot_in_force(os.environ)
_config = _snapshot.config

end_booting_workers()

bind = bare.listen(data_binds(_config), os.environ)
backlog = 2048
reuse_port = False  # a reload with it resets connections, unless net.ipv4.tcp_migrate_req is set

worker_class = "lb.server.worker.ProxyWorker"
workers = _config.workers
worker_connections = 100_000  # gunicorn's 1,000 would park keep-alive connections in the accept queue
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
preload_app = False  # gevent must not run before the fork
timeout = 30
graceful_timeout = math.ceil(_config.graceful_timeout_s)
keepalive = 75
max_requests = 0

proc_name = "lb-data"
logger_class = "lb.supervisor.gunicorn_log.KeyValueLogger"
errorlog = "-"
accesslog = None  # the proxy writes its own
loglevel = "info"

# The WSGI path under a stock worker: strict, believes no header, and so does no hop before us.
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"
proxy_protocol = False

control_socket_disable = True  # its default path is shared by all instances of a user


def pre_exec(server: Any) -> None:
    """gunicorn's own USR2 (by hand only): the new master inherits the sockets and must know their names."""
    server.cfg.env_orig["LISTEN_FDNAMES"] = os.environ.get("LISTEN_FDNAMES", "")


def on_reload(server: Any) -> None:
    """gunicorn's own HUP (by hand only): new workers read what the file says now, or the old snapshot."""
    for problem in bare.publish_again(os.environ):
        server.log.error("configuration refused: %s", problem)
