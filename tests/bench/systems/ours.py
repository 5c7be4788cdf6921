"""``lb`` with everything on that is on by default: health checks, metrics, access log to a file,
forwarded fields, request ids. Three times: the worker path under ``lb run``, the same with what ``lb native``
compiled left aside, and the WSGI path under stock ``gunicorn -k gevent``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from lb.native.finder import build_directory
from lb.state import layout
from tests.bench import ports
from tests.bench.systems.base import Launch, Site, System

_CONF = """
listeners:
  traffic: {{bind: "127.0.0.1:{port}"}}
  status: {{bind: "127.0.0.1:{status}"}}
  admin: {{bind: "127.0.0.1:{admin}"}}
workers: {workers}
state: {{dir: {dir}/state}}
access_log: {{path: {dir}/access.log, format: json}}
pools:
  web:
    {policy}
    backends:
{backends}
routes:
  - {{pool: web}}
"""


def write_configuration(site: Site) -> Path:
    status, admin = ports.free(2)
    conf = site.directory / "lb.yaml"
    conf.write_text(
        _CONF.format(
            dir=site.directory,
            port=site.port,
            status=status,
            admin=admin,
            workers=site.workers,
            policy=f"policy: {site.policy}" if site.policy else "",
            backends="\n".join(f"      - http://127.0.0.1:{port}" for port in site.backends),
        )
    )
    return conf


def _program() -> str | None:
    return sys.executable


def _version(program: str) -> str:
    return f"lb, Python {sys.version.split()[0]}, {'compiled' if os.path.isdir(build_directory()) else 'not compiled'}"


def _version_as_written(program: str) -> str:
    return f"lb, Python {sys.version.split()[0]}, as it is written"


def _run(program: str, site: Site) -> Launch:
    return Launch([program, "-m", "lb.cli.entry", "run", str(write_configuration(site))])


def _run_as_written(program: str, site: Site) -> Launch:
    return replace(_run(program, site), env={"LB_NATIVE": "0"})


def _wsgi(program: str, site: Site) -> Launch:
    conf = write_configuration(site)
    workers = ["-k", "gevent", "-w", str(site.workers), "--worker-connections", "10000"]
    command = [program, "-m", "gunicorn", *workers, "-b", f"127.0.0.1:{site.port}", "lb.wsgi:app"]
    return Launch([*command, "--http-parser", "python", "--no-control-socket"], {"LB_CONFIG": str(conf)})


def _cells(site: Site) -> tuple[dict[str, int], memoryview] | None:
    """Columns and cells of the running balancer's shared segment; None: it has published none."""
    try:
        snapshot = json.loads((site.directory / "state" / "snapshot.json").read_bytes())
        cells = memoryview(Path(snapshot["segment"]).read_bytes()).cast("q")
    except OSError:
        return None
    return snapshot["columns"], cells


def slots_by_pid(site: Site) -> dict[int, int]:
    """Which slot of the segment each worker writes."""
    found = _cells(site)
    if found is None:
        return {}
    cells = found[1]
    starts = {slot: layout.HEADER_CELLS + slot * layout.SLOT_CELLS for slot in range(cells[layout.H_SLOTS])}
    return {cells[at + layout.SLOT_PID]: slot for slot, at in starts.items() if cells[at + layout.SLOT_PID]}


def requests_by_pid(site: Site) -> dict[int, int]:
    """Requests each worker has answered so far, as it counts them itself."""
    found = _cells(site)
    if found is None:
        return {}
    columns, cells = found
    total = cells[layout.H_SLOTS]
    routes = [column for name, column in columns.items() if name.startswith("route:")]
    served = {}
    for pid, slot in slots_by_pid(site).items():
        starts = [layout.counters_offset(column, slot, total) for column in routes]
        served[pid] = sum(cells[at + layout.C_STATUS + hundred] for at in starts for hundred in range(1, 6))
    return served


def _workers(site: Site, tree: list[int]) -> list[int]:
    return [pid for pid in tree if pid in slots_by_pid(site)]


def _lacks(site: Site, tree: list[int]) -> str:
    """Health checks and metrics are the controller's work: without it we would be measured doing less."""
    found = _cells(site)
    if found is None:
        return "no snapshot is published"
    cells = found[1]
    if cells[layout.H_CONTROLLER_PID] not in tree:
        return "the controller does not run, so there are no health checks and no metrics"
    if cells[layout.H_PROBED_GENERATION] < cells[layout.H_GENERATION]:
        return "the controller has not probed the backends"
    if len(_workers(site, tree)) < site.workers:
        return "not every worker is up"
    return ""


def _remove_segment(site: Site) -> None:
    """The segment is meant to outlive the balancer; the state directory it belongs to is thrown away."""
    with contextlib.suppress(FileNotFoundError):
        snapshot = json.loads((site.directory / "state" / "snapshot.json").read_bytes())
        Path(snapshot["segment"]).unlink()


WORKER_PATH = System(
    "lb",
    _program,
    _run,
    _version,
    _workers,
    _lacks,
    _remove_segment,
    access_log="access.log",
    note="worker path, everything on",
)
AS_WRITTEN = replace(
    WORKER_PATH,
    name="lb-as-written",
    prepare=_run_as_written,
    version=_version_as_written,
    note="worker path, not compiled",
)
WSGI_PATH = System(
    "lb-wsgi",
    _program,
    _wsgi,
    _version,
    clean_up=_remove_segment,
    access_log="access.log",
    note="lb.wsgi:app under stock gunicorn -k gevent --http-parser python",
)
