"""An open-loop client: ``python -m tests.support.steady_client PER_SECOND PATH BESIDE PORT...``.

A fifth as many requests go straight to ``BESIDE``, a backend, at the same times: what they wait is not the balancer's doing.

Requests begin at their time whatever has become of those before, and their latency counts from that time, so an answer that
keeps the client waiting is seen in full. Never retries. Standard input: ``phase NAME`` (what begins from now on belongs to
it) and ``report``, answered by a line of JSON, ``{NAME: {"ok": N, "bad": N, "failed": [TEXT, ...], "ms": [LATENCY, ...],
"beside_ms": [LATENCY, ...]}}``.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

import gevent
from gevent import socket
from gevent.fileobject import FileObject

TIMEOUT_S = 30.0
_MOST_TEXTS = 20
_OF_BESIDE = 5
_IDLE_S = 30.0


class Steady:
    def __init__(self, per_second: float, path: str, beside: int, ports: list[int]) -> None:
        self._every_s = 1 / per_second
        self._beside = beside
        self._request = f"GET {path} HTTP/1.1\r\nHost: lb.test\r\n\r\n".encode()
        self._ports = itertools.cycle(ports)
        self._idle: dict[int, list[Any]] = {port: [] for port in (beside, *ports)}
        self._phases: dict[str, dict[str, Any]] = {}
        self.begin("quiet")

    def begin(self, phase: str) -> None:
        self._phase = self._phases.setdefault(phase, {"ok": 0, "bad": 0, "failed": [], "ms": [], "beside_ms": []})

    def report(self) -> str:
        return json.dumps(self._phases)

    def run(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            due += self._every_s
            gevent.sleep(max(0.0, due - time.monotonic()))
            gevent.spawn(self._one, next(self._ports), due, self._phase)
            if number % _OF_BESIDE == 0:
                gevent.spawn(self._one_beside, due, self._phase)

    def _one(self, port: int, due: float, phase: dict[str, Any]) -> None:
        try:
            self._ask(port)
        except (OSError, ValueError) as error:
            phase["bad"] += 1
            if len(phase["failed"]) < _MOST_TEXTS:
                phase["failed"].append(f"{type(error).__name__}: {error}")
        else:
            phase["ok"] += 1
            phase["ms"].append(round((time.monotonic() - due) * 1000, 2))

    def _one_beside(self, due: float, phase: dict[str, Any]) -> None:
        self._ask(self._beside)
        phase["beside_ms"].append(round((time.monotonic() - due) * 1000, 2))

    def _ask(self, port: int) -> None:
        sock = self._kept(port) or self._connected(port)
        try:
            sock.sendall(self._request)
            answer = self._answer(sock)
        except BaseException:
            sock.close()
            raise
        if b"connection: close" in answer.lower():
            sock.close()
        else:
            self._idle[port].append((time.monotonic(), sock))

    def _kept(self, port: int) -> Any:
        """The one used last, unless the balancer may be about to close it (``timeouts.keep_alive``)."""
        idle = self._idle[port]
        while idle:
            since, sock = idle.pop()
            if time.monotonic() - since < _IDLE_S:
                return sock
            sock.close()
        return None

    @staticmethod
    def _connected(port: int) -> Any:
        sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @staticmethod
    def _answer(sock: Any) -> bytes:
        data = b""
        while True:
            more = sock.recv(65536)
            if not more:
                raise ValueError(f"closed after {data[:60]!r}")
            data += more
            head, end, body = data.partition(b"\r\n\r\n")
            if end:
                if not head.startswith(b"HTTP/1.1 200 "):
                    raise ValueError(f"answered {data[:200]!r}")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                if len(body) == length:
                    return head


def main(per_second: str, path: str, beside: str, *ports: str) -> None:
    steady = Steady(float(per_second), path, int(beside), [int(port) for port in ports])
    gevent.spawn(steady.run)
    for line in FileObject(sys.stdin.buffer):
        word, _, rest = line.strip().partition(" ")
        if word == "phase":
            steady.begin(rest)
        else:
            print(steady.report(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
