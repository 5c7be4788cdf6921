"""Four machines and subsets: together they ask all backends alike, and one that goes changes the backends of one other. A machine is
forgotten after a minute: at full size that is waited for, else the store is told that it was heard of a minute ago."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.process.running import SLACK, Run
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.support.raw_client import get
from tests.support.redis_server import redis_server
from tests.support.scale import IS_FULL
from tests.support.waiting import wait_for

MACHINES, BACKENDS, SUBSET = 4, 16, 4
FORGOTTEN_S = 75.0 if IS_FULL else 15.0


@contextlib.contextmanager
def machines(folder: Path, url: str) -> Iterator[Sequence[Run]]:
    with contextlib.ExitStack() as stack:
        answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d" % i for i in range(BACKENDS)]
        ports = [stack.enter_context(fault_origin(answering(answer))).port for answer in answers]
        backends = [{"id": f"b{i}", "url": f"http://127.0.0.1:{port}"} for i, port in enumerate(ports)]
        pool = {"backends": backends, "policy": "round_robin", "subset": SUBSET, "health": {"type": "none"}}
        runs = []
        for number in range(MACHINES):
            run = Run(folder / f"m{number}", ports, workers=1)
            stack.callback(run.end)
            state = {"dir": str(run.directory / "state"), "redis": url, "machine": f"m{number}"}
            run.configure(pools={"web": pool}, state=state)
            run.start()
            runs.append(run)
        for run in runs:
            run.wait_until_ready()
        yield runs


def asked(run: Run) -> frozenset[bytes]:
    return frozenset(get(run.port).body for _ in range(2 * SUBSET))


def coverage(subsets: Sequence[frozenset[bytes]]) -> Counter[bytes]:
    return Counter(one for subset in subsets for one in subset)


def heard_a_minute_ago(client: Any, machine: str) -> None:
    number, heard_ms = client.hget("{lb}:numbers", machine).split()
    client.hset("{lb}:numbers", machine, f"{number} {int(heard_ms) - 60_000}")


def test_all_backends_are_asked_alike_and_one_machine_that_goes_changes_one_other(tmp_path: Path) -> None:
    with redis_server() as server, machines(tmp_path, server.url) as runs:
        alike = lambda: set(coverage([asked(run) for run in runs]).values()) == {1}  # noqa: E731
        wait_for("all numbers", lambda: len(server.client().hgetall("{lb}:numbers")) == MACHINES)
        wait_for("each backend by one machine", alike)
        before = [asked(run) for run in runs]
        assert len(coverage(before)) == BACKENDS and {len(one) for one in before} == {SUBSET}
        numbers = {name: int(said.split()[0]) for name, said in server.client().hgetall("{lb}:numbers").items()}
        gone = next(i for i in range(MACHINES) if numbers[f"m{i}"] == 1)
        left = [i for i in range(MACHINES) if i != gone]
        ended = time.monotonic()
        runs[gone].signal(signal.SIGQUIT)
        runs[gone].wait_for_end()
        assert [asked(runs[i]) for i in left] == [before[i] for i in left], "nobody's changes at once"
        if not IS_FULL:
            heard_a_minute_ago(server.client(), f"m{gone}")
        wait_for("its place to be taken", lambda: before[gone] in [asked(runs[i]) for i in left], FORGOTTEN_S * SLACK)
        print(f"its place is taken {time.monotonic() - ended:.0f} s after")
        after = [asked(runs[i]) for i in left]
        assert sum(one != before[i] for one, i in zip(after, left, strict=True)) == 1
        assert after[left.index(next(i for i in left if numbers[f"m{i}"] == MACHINES - 1))] == before[gone]
