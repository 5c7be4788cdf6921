"""Memory per idle keep-alive connection: 1,500 held, each of which has made one request, twice over."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from tests.bench import processes
from tests.bench.outcome import Outcome, Table
from tests.bench.plan import Plan
from tests.bench.systems.base import Running, System, running

HELD = 1_500
_REQUEST = b"GET / HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\n\r\n"


def run(plan: Plan) -> Outcome:
    found = {system.name: _per_connection(plan, system) for system in plan.balancers}
    rows = tuple(
        (name, f"{first / 1024:.1f}", f"{second / 1024:.1f}", f"{rest / (1 << 20):.1f}")
        for name, (first, second, rest) in found.items()
    )
    header = ("system", "KiB per connection", "again", "MiB at rest, whole tree")
    notes = (
        "PSS of the whole process tree, minus that before, ÷ 1,500; `again` after closing all and opening 1,500 anew",
    )
    figures = {"idle_kib": [bytes_each / 1024 for bytes_each in found["lb"][:2]]} if "lb" in found else {}
    raw = {
        name: {"bytes_per_connection": [first, second], "at_rest_bytes": rest}
        for name, (first, second, rest) in found.items()
    }
    return Outcome("idle", (Table(f"{HELD:,} idle keep-alive connections", header, rows, notes),), figures, raw)


def _per_connection(plan: Plan, system: System) -> tuple[float, float, int]:
    """Bytes per held connection the first and the second time, and bytes at rest."""
    with running(system, plan.site(f"idle-{system.name}")) as balancer:
        with _held(balancer, 50):
            pass
        at_rest, family = _settled_bytes(balancer), sorted(balancer.pids())
        first = _growth(balancer, at_rest, family)
        second = _growth(balancer, at_rest, family)
        return first, second, at_rest


def _growth(balancer: Running, before: int, family: list[int]) -> float:
    """RuntimeError when processes came or went meanwhile, or the tree shrank: then the difference says nothing."""
    with _held(balancer, HELD):
        grown = (_settled_bytes(balancer) - before) / HELD
        if sorted(balancer.pids()) != family:
            raise RuntimeError(f"{balancer.system.name}: its processes changed while memory was measured")
    if grown < 0:
        raise RuntimeError(
            f"{balancer.system.name}: it shrank while connections were held, so it was not at rest before"
        )
    return grown


def _settled_bytes(balancer: Running) -> int:
    processes.wait_until_quiet(balancer.pids())
    return processes.memory_bytes(balancer.pids())


@contextlib.contextmanager
def _held(balancer: Running, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            _ask(stack.enter_context(socket.create_connection(("127.0.0.1", balancer.site.port), timeout=10)))
        yield


def _ask(connection: socket.socket) -> None:
    """One request, and its whole answer."""
    connection.sendall(_REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _some(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(_some(connection))


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise RuntimeError("the balancer closed a connection that should be kept alive")
    return data
