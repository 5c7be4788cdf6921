"""gunicorn's settings that the data plane and the controller share; the two conf modules import all of them.

Every public name is a setting of gunicorn; what is not said here or there is its default. Loads
nothing that a worker must not load.
"""

from __future__ import annotations

import gc
import logging
import os
from typing import Any

from lb.launch import loaded
from lb.supervisor import bare

__all__ = [
    "accesslog", "backlog", "control_socket_disable", "errorlog", "forwarded_allow_ips", "forwarder_headers",
    "header_map", "http_parser", "limit_request_field_size", "limit_request_fields", "limit_request_line", "logger_class",
    "loglevel", "max_requests", "on_reload", "pre_exec", "preload_app", "proxy_protocol", "reuse_port",
    "secure_scheme_headers", "timeout", "when_ready", "worker_tmp_dir",
]  # fmt: skip

_log = logging.getLogger("lb.gunicorn")
gc.disable()  # until everything is loaded

backlog = 2048
reuse_port = False  # a reload with it resets connections, unless net.ipv4.tcp_migrate_req is set

worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
preload_app = False  # gevent must not run before the fork
timeout = 30
max_requests = 0

logger_class = "lb.supervisor.gunicorn_log.KeyValueLogger"
errorlog = "-"
accesslog = None  # the proxy writes its own
loglevel = "info"

# Stock workers: strict, believe no header, and so does no hop before us.
http_parser = "python"  # gunicorn would take up gunicorn_h1c where it finds it, which takes bare LF and folds
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
header_map = "drop"
proxy_protocol = False

control_socket_disable = True  # its default path is shared by all instances of a user


def when_ready(server: Any) -> None:
    """The sockets take connections, and workers are about to be forked. The line is for gunicorn by hand: ``lb run``
    has one of its own."""
    loaded()
    if not bare.is_supervised(os.environ):
        snapshot = bare.snapshot_in_force(os.environ)
        places = bare.places(snapshot.config, [listener.sock for listener in server.LISTENERS], os.environ)
        _log.info("listening %s %s", places, _in_force())


def pre_exec(server: Any) -> None:
    """gunicorn's own USR2 (by hand only): the new master inherits the sockets and must know their names."""
    server.cfg.env_orig["LISTEN_FDNAMES"] = os.environ.get("LISTEN_FDNAMES", "")


def on_reload(server: Any) -> None:
    """gunicorn's own HUP (by hand only): new workers read what the file says now, or the old snapshot."""
    problems = bare.publish_again(os.environ)
    for problem in problems:
        server.log.error("configuration refused: %s", problem)
    if not problems and not bare.is_supervised(os.environ):
        _log.info("reloaded %s", _in_force())


def _in_force() -> str:
    snapshot = bare.snapshot_in_force(os.environ)
    return f"configuration={snapshot.config.source} generation={snapshot.generation}"
