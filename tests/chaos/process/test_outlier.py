"""A backend that answers one request of five with an error, and passes its probes: it gets a trickle, and its share again when it is well."""

from __future__ import annotations

import http.client
import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.process.running import SLACK, Run, hello_backends
from tests.support.behaviours import answering
from tests.support.fault_origin import fault_origin
from tests.support.recorded import Recorded

IS_FULL = os.environ.get("LB_CHAOS") == "full"
WITHIN_S, FAIR_AGAIN_S = 10.0, 60.0
"""Promised."""
LEAST_SHARE = 0.05
BACKENDS = 4
WATCHED_S = 4.0
CLIENTS, PAUSE_S = 4, 0.02
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"


class Failing:
    """``one_of`` requests fails; 0: none."""

    def __init__(self) -> None:
        self.one_of = 5
        self.asked = 0
        self._count = itertools.count(1)

    def __call__(self, _: Recorded) -> bytes:
        self.asked += 1
        return BAD if self.one_of and next(self._count) % self.one_of == 0 else GOOD


@contextmanager
def asking(port: int) -> Iterator[list[int]]:
    """How many requests have been answered, by each of a few clients."""
    answered, stop = [0] * CLIENTS, threading.Event()

    def run(place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not stop.wait(PAUSE_S):
            connection.request("GET", "/")
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (200, 503)
            answered[place] += 1
        connection.close()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("policy", ["round_robin", "peak_ewma"] if IS_FULL else ["round_robin"])
def test_one_that_fails_one_of_five_gets_less_than_a_twentieth(tmp_path: Path, policy: str) -> None:
    failing = Failing()
    with hello_backends(BACKENDS - 1) as good, fault_origin(answering(failing)) as origin:
        run = Run(tmp_path / "lb", good)
        urls = [f"http://127.0.0.1:{port}" for port in (*good, origin.port)]
        run.configure(pools={"web": {"policy": policy, "backends": urls}})
        try:
            run.start()
            run.wait_until_ready()
            run.wait_for_workers()
            with asking(run.port) as answered:

                def share(seconds: float) -> float:
                    asked, all_before = failing.asked, sum(answered)
                    time.sleep(seconds)
                    return (failing.asked - asked) / (sum(answered) - all_before)

                began = time.monotonic()
                while (found := share(WATCHED_S)) >= LEAST_SHARE:
                    assert time.monotonic() - began < WITHIN_S * SLACK, found
                assert share(2 * WATCHED_S) < LEAST_SHARE, "and it stays so"
                assert "fails more often than the others of its pool" in run.log()
                if IS_FULL:
                    failing.one_of, began = 0, time.monotonic()
                    while (found := share(WATCHED_S)) < 0.8 / BACKENDS:
                        assert time.monotonic() - began < FAIR_AGAIN_S * SLACK, found
                    print(f"{policy}: fair again after {time.monotonic() - began:.0f} s")
            assert min(answered) > 0
        finally:
            run.end()
