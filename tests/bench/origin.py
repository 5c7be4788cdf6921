"""The origin behind every balancer: nginx that answers 1 KiB from memory, so that the balancer is
what limits. ``/large`` is a file of 1 MiB in the page cache; ``/upload`` reads the whole body before it answers.

``python -m tests.bench.origin [--ports 8001,8002] [--core 1]`` runs it in the foreground.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import ports, processes

LARGE_BYTES = 1 << 20
_SMALL = "0123456789abcde\n" * 64

_CONF = """
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  sendfile on; tcp_nopush on;
  default_type text/plain;
  upstream sink {{ server unix:{dir}/sink.sock; keepalive 64; keepalive_requests 1000000000; }}
  server {{
{listens}
    listen unix:{dir}/sink.sock;
    location / {{ return 200 "{small}"; }}
    location = /large {{ root {dir}; }}
    location = /upload {{
      client_body_buffer_size 4m;
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass http://sink/;
    }}
  }}
}}
"""


def write_conf(directory: Path, listen_ports: Sequence[int]) -> Path:
    """Everything nginx reads or writes stays in ``directory``, so it runs as anybody."""
    (directory / "large").write_bytes(os.urandom(LARGE_BYTES))
    listens = "\n".join(f"    listen 127.0.0.1:{port} backlog=4096;" for port in listen_ports)
    conf = directory / "origin.conf"
    conf.write_text(_CONF.format(dir=directory, listens=listens, small=_SMALL))
    return conf


def start(directory: Path, listen_ports: Sequence[int], core: int | None) -> subprocess.Popen[bytes]:
    """Returns when it answers. Raises RuntimeError with nginx's words when it does not."""
    conf = write_conf(directory, listen_ports)
    command = [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx", "-p", str(directory)]
    log = directory / "origin.log"
    process = processes.start(
        processes.pinned([*command, "-c", str(conf)], "" if core is None else str(core)),
        log,
    )
    if not all(ports.wait_for(port, 5) for port in listen_ports):
        processes.stop(process)
        raise RuntimeError(f"the origin did not start: {log.read_text().strip()}")
    return process


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.origin", description="nginx, 1 KiB from memory")
    parser.add_argument("--ports", default="", help="comma separated; default: two free ones")
    parser.add_argument("--core", type=int, default=1, help="core it is pinned to")
    options = parser.parse_args(arguments)
    wanted = [int(port) for port in options.ports.split(",") if port] or ports.free(2)
    processes.allow_many_files()
    with tempfile.TemporaryDirectory(prefix="lb-bench-origin-") as directory:
        process = start(Path(directory), wanted, options.core)
        print(" ".join(f"http://127.0.0.1:{port}" for port in wanted), f"pid {process.pid}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            processes.stop(process)


if __name__ == "__main__":
    sys.exit(main())
