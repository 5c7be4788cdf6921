"""gunicorn's settings for the data plane: ``gunicorn -c python:lb.server.gunicorn_conf lb.wsgi:app``.

Works under ``lb run`` and by hand (then ``LB_CONFIG`` names the file, default ``lb.yaml``). Every
public name is a setting of gunicorn; what is not said here is said in ``gunicorn_settings``. Loads
nothing that a worker must not load: workers are forks of the process that reads this.
"""

from __future__ import annotations

import math
import os

from lb.supervisor import bare
from lb.supervisor.addresses import data_binds
from lb.supervisor.booting import end_booting_workers
from lb.supervisor.gunicorn_settings import *  # noqa: F403

_config = bare.snapshot_in_force(os.environ).config

end_booting_workers()

bind = bare.listen(data_binds(_config), os.environ)
proc_name = "lb-data"
worker_class = "lb.server.worker.ProxyWorker"
workers = _config.workers
worker_connections = 100_000  # gunicorn's 1,000 would park keep-alive connections in the accept queue
graceful_timeout = math.ceil(_config.graceful_timeout_s)
keepalive = 75
