"""``lb demo``: six demo backends and the balancer in front of them, until Ctrl-C.

Everything runs in child processes: the backends by ``python -m backends``, the balancer by the
supervisor (what ``lb run`` becomes) on the repository's ``lb.yaml``. This process starts them in
order, says where they are, and takes them down in the reverse order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from lb.cli import children, demo_geo
from lb.cli.children import Child
from lb.config import snapshot
from lb.errors import ConfigError
from lb.launch import program
from lb.native.finder import data_path

HOST = "127.0.0.1"
CONFIG = (Path(__file__).parent / "demo.yaml").resolve()
"""The repository's ``lb.yaml``, which an installed package has a copy of."""
BACKENDS = range(1, 7)
START_S = 20.0
VERDICTS_SEEN_S = 0.3
"""Every worker has seen the last verdict by then: three of its looks."""
BALANCER_STOP_S = 45.0
BACKENDS_STOP_S = 3.0


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens; backend n has ``backend_base + n``."""

    traffic: int
    admin: int
    status: int
    backend_base: int

    def by_option(self) -> list[tuple[str, int]]:
        """Each port with the option that moves it."""
        own = [("--traffic-port", self.traffic), ("--admin-port", self.admin), ("--status-port", self.status)]
        return own + [("--backend-port-base", self.backend_base + number) for number in BACKENDS]

    def environ(self) -> dict[str, str]:
        """As lb.yaml asks for them."""
        own = {"LB_PORT": self.traffic, "LB_ADMIN_PORT": self.admin, "LB_STATUS_PORT": self.status}
        backends = {f"LB_BACKEND_{number}": self.backend_base + number for number in BACKENDS}
        return {name: str(port) for name, port in (own | backends).items()}


@click.command()
@click.option("--port-base", default=5000, show_default=True, help="Moves all ports: N, N+1 to N+6, N+50, N+51.")
@click.option("--traffic-port", type=int, help="Port of the balancer (default: the base).")
@click.option("--admin-port", type=int, help="Port of the admin listener (default: base + 50).")
@click.option("--status-port", type=int, help="Port of the status listener (default: base + 51).")
@click.option("--backend-port-base", type=int, help="Backend n gets this + n (default: the base).")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CONFIG,
    help="A configuration with the ports and backends of the demo's lb.yaml (default: that one).",
)
@click.option("--state-dir", type=click.Path(file_okay=False, path_type=Path), help="Default: a temporary one.")
def demo(
    port_base: int,
    traffic_port: int | None,
    admin_port: int | None,
    status_port: int | None,
    backend_port_base: int | None,
    config: Path,
    state_dir: Path | None,
) -> None:
    """Run the balancer with six demo backends on this machine (127.0.0.1 only)."""
    ports = Ports(
        traffic=traffic_port or port_base,
        admin=admin_port or port_base + 50,
        status=status_port or port_base + 51,
        backend_base=port_base if backend_port_base is None else backend_port_base,
    )
    refuse_busy(ports)
    with state_directory(state_dir) as directory:
        run(ports, config, directory)


def refuse_busy(ports: Ports) -> None:
    """Says all ports that are taken, before anything is started."""
    busy = [(option, port) for option, port in ports.by_option() if not is_free(port)]
    if busy:
        lines = [f"port {port} is in use; choose another with {option}" for option, port in busy]
        raise click.ClickException("\n".join([*lines, f"(or move all of them: {as_typed()} demo --port-base 6000)"]))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def state_directory(chosen: Path | None) -> Iterator[Path]:
    """The chosen one, made if need be and kept; else a temporary one, gone at the end."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    directory = Path(tempfile.mkdtemp(prefix="lb-demo-"))
    try:
        yield directory
    finally:
        remove_segment(directory)
        shutil.rmtree(directory, ignore_errors=True)


def remove_segment(directory: Path) -> None:
    """The shared memory of a state directory that nobody will use again; it lies in /dev/shm."""
    with contextlib.suppress(ConfigError, FileNotFoundError):
        os.unlink(snapshot.read_or_copy(str(directory / "snapshot.json")).snapshot.segment)


def run(ports: Ports, config: Path, directory: Path) -> None:
    """Starts, serves until told to stop, takes down. Leaves no process, however it ends."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(number, lambda *_: stopping.set())
    environ = {**os.environ, **ports.environ(), "LB_STATE_DIR": str(directory)}
    environ["LB_ACCESS_LOG"] = str(directory / "access.log")
    environ["LB_GEO_DATABASE"] = str(demo_geo.write(directory))
    backends: list[Child] = []
    balancer: list[Child] = []
    try:
        backends += [start_backend(number, ports, environ) for number in BACKENDS]
        balancer.append(children.start("lb run", program("lb.supervisor", str(config)), environ))
        if wait_until_serving(ports, backends + balancer, stopping):
            click.echo(welcome(ports, directory))
            watch(balancer[0], backends, stopping)
    finally:
        children.stop(balancer, within_s=BALANCER_STOP_S)
        children.stop(backends, within_s=BACKENDS_STOP_S)


def start_backend(number: int, ports: Ports, environ: dict[str, str]) -> Child:
    port = str(ports.backend_base + number)
    command = program("backends", "--quiet", "--profile", str(number), "--host", HOST, "--port", port)
    return children.start(f"backend-{number}", command, environ)


def wait_until_serving(ports: Ports, started: list[Child], stopping: threading.Event) -> bool:
    """True once all that ``welcome`` names is there; False when told to stop before."""
    status = f"http://{HOST}:{ports.status}"
    awaited = [f"{status}/health/ready", f"http://{HOST}:{ports.traffic}/"]
    deadline = time.monotonic() + START_S
    while not stopping.is_set():
        for child in started:
            if not child.is_running:
                raise click.ClickException(f"{child.name} {child.ending} before anything was served (see above)")
        if all(answered(url) for url in awaited) and all_are_up(answered(f"{status}/metrics")):
            stopping.wait(VERDICTS_SEEN_S)
            return not stopping.is_set()
        if time.monotonic() > deadline:
            raise click.ClickException(
                f"{' and '.join(awaited)} not answered, or not every backend up, within {START_S:.0f} s (see above)"
            )
        stopping.wait(children.POLL_S)
    return False


def answered(url: str) -> bytes:
    """The body of an answer 200; of any other, and of none, nothing."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback: never by way of a proxy
    try:
        with opener.open(url, timeout=1) as answer:
            return bytes(answer.read()) if answer.status == 200 else b""
    except (urllib.error.URLError, OSError):
        return b""


def all_are_up(metrics: bytes) -> bool:
    """A backend that started late may have missed its first probe; the order of round robin has a gap until its next."""
    verdicts = [line for line in metrics.splitlines() if line.startswith(b"lb_backend_up{")]
    return len(verdicts) >= len(BACKENDS) and all(line.endswith(b" 1") for line in verdicts)


def watch(balancer: Child, backends: list[Child], stopping: threading.Event) -> None:
    """Until told to stop. A backend that ends is news; the balancer's end is ours."""
    running = list(backends)
    while not stopping.wait(0.2):
        if not balancer.is_running:
            raise click.ClickException(f"{balancer.name} {balancer.ending} (see above)")
        for child in [child for child in running if not child.is_running]:
            running.remove(child)
            click.echo(f"{child.name} {child.ending}; the others go on")
    click.echo("stopping")


def welcome(ports: Ports, directory: Path) -> str:
    traffic = f"http://{HOST}:{ports.traffic}"
    first, last = ports.backend_base + BACKENDS[0], ports.backend_base + BACKENDS[-1]
    return f"""
lb demo is serving

  traffic     {traffic}
  status page {dashboard_url(ports, directory)}
  metrics     http://{HOST}:{ports.status}/metrics
  backends    {HOST}:{first} to {HOST}:{last}
  data path   {data_path()}
  access log  {directory / "access.log"}

Try
  curl {traffic}/
  curl '{traffic}/?algo=round_robin'        three times: three backends in order
  curl -H 'X-Forwarded-For: 203.0.113.9' {traffic}/    a client in Germany: backends of EU
  curl -H 'X-Forwarded-For: 198.51.100.9' {traffic}/   one in Japan: APAC
  curl {traffic}/health
  curl {traffic}/metrics
  curl -H 'Host: shul.velocity.localhost' {traffic}/
  {as_typed()} backend drain web backend-2 --state-dir {directory}    and `ready` again

Ctrl-C stops everything.
"""


def as_typed() -> str:
    """How this user calls us: by name, or from a clone whose environment is not on the path."""
    own = str(Path(sys.executable).parent / "lb")
    return "lb" if shutil.which("lb") == own else os.path.relpath(own)  # others have an `lb`, too: Debian's live-build


def dashboard_url(ports: Ports, directory: Path) -> str:
    token = directory / "admin.token"
    suffix = f"#token={token.read_text().strip()}" if token.exists() else ""
    return f"http://{HOST}:{ports.admin}/{suffix}"
