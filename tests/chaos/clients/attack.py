"""Clients that mean harm by being slow: heads and bodies a byte at a time, and answers that nobody reads."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator

from tests.support.raw_client import RawClient, request

OF_EACH_KIND = 200
PAUSE_S = 0.5
SMALL_BUFFER_BYTES = 1024
LARGE = "/large"
"""A path whose answer does not end."""


@contextlib.contextmanager
def raw_attack(port: int) -> Iterator[None]:
    """200 of each kind from our own sockets, for as long as the block lasts."""
    over = threading.Event()
    with contextlib.ExitStack() as held:
        for number in range(OF_EACH_KIND):
            source = f"127.5.0.{number + 1}"
            dribbling = [held.enter_context(RawClient(port, source=source)) for _ in range(2)]
            dribbling[0].send(request()[:-2] + b"X-Pad: ")
            dribbling[1].send(request(method="POST", fields=["Content-Length: 100000"]))
            reader = RawClient(port, source=source, receive_buffer_bytes=SMALL_BUFFER_BYTES)
            held.enter_context(reader).send(request(LARGE))
            sender = threading.Thread(target=_dribble, args=(dribbling, over), daemon=True)
            sender.start()
            held.callback(sender.join)
        held.callback(over.set)
        yield


def _dribble(clients: list[RawClient], over: threading.Event) -> None:
    while not over.wait(PAUSE_S):
        for client in clients:
            with contextlib.suppress(OSError):  # had enough of us
                client.send(b"x")


@contextlib.contextmanager
def slowhttptest_attack(program: str, port: int) -> Iterator[None]:
    """The same from slowhttptest (its -H, -B and -X), once all its connections are there."""
    url = f"http://127.0.0.1:{port}"
    kinds = (("-H", "-u", url), ("-B", "-u", url), ("-X", "-w", "512", "-y", "1024", "-u", url + LARGE))
    common = ("-c", str(OF_EACH_KIND), "-r", str(OF_EACH_KIND), "-i", "1", "-l", "60", "-v", "0")
    with contextlib.ExitStack() as running:
        for kind in kinds:
            process = subprocess.Popen((program, *common, *kind), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.callback(process.wait)
            running.callback(process.kill)
        yield


def connected(ss: str, port: int) -> int:
    """Connections that clients have to this port now."""
    command = [ss, "-Htn", "state", "established", f"sport = :{port}"]
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())
