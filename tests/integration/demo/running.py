"""A running `lb demo` on free ports, and a newcomer's curl."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.ports import run_of_ports

HOST = "127.0.0.1"
START_S = 60.0
STOP_S = 45.0
LAST_WORD = "Ctrl-C stops everything."


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Demo:
    process: subprocess.Popen[bytes]
    base: int
    output: Path

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def get(self, target: str, *, port: int = 0, method: str = "GET", **headers: str) -> Answer:
        """One request on a connection of its own, as curl sends it."""
        connection = http.client.HTTPConnection(HOST, port or self.base, timeout=60)
        try:
            connection.request(method, target, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def backend_process(self, number: int) -> psutil.Process:
        for child in psutil.Process(self.process.pid).children():
            command = child.cmdline()
            if "backends" in command and command[command.index("--profile") + 1] == str(number):
                return child
        raise LookupError(f"backend {number} does not run")

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """`lb demo`, from serving to gone. Whatever a test left running is killed at the end."""
    base = run_of_ports().start
    output = folder / "demo.out"
    command = [str(Path(sys.executable).with_name("lb")), "demo", "--port-base", str(base)]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    demo = Demo(process, base, output)
    try:
        wait_until_serving(demo)
        yield demo
    finally:
        stop(demo, signal.SIGTERM)


def wait_until_serving(demo: Demo) -> None:
    deadline = time.monotonic() + START_S
    while LAST_WORD not in demo.said():
        if demo.process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"lb demo did not start:\n{demo.said()}")
        time.sleep(0.05)


def stop(demo: Demo, number: signal.Signals) -> list[psutil.Process]:
    """Stops it as its user would; the processes that outlived it (they are killed)."""
    if demo.process.poll() is not None:
        return []
    started = demo.descendants()
    demo.process.send_signal(number)
    try:
        demo.process.wait(STOP_S)
    finally:
        _, left = psutil.wait_procs(started, timeout=10)
        for process in left:
            process.kill()
        if demo.process.poll() is None:
            demo.process.kill()
    return left


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0
