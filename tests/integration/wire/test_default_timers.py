"""Rows 25 to 27 and 39 with the times of a configuration that names none.

Nobody waits for them here. A live worker tells when the time of what it is doing will be up; that it then ends
so is shown with shorter ones in ``test_slow_clients`` and ``test_backend_answers``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from lb.config import snapshot as snapshot_file
from lb.proxy.body import MIN_RATE_BYTES, MIN_RATE_WINDOW_S
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import LONG_HEAD, answering, repeating, stalling_after
from tests.support.fault_origin import fault_origin
from tests.support.raw_client import RawClient, request
from tests.support.waiting import wait_for

HEAD_S, BODY_S, WRITE_S = 10.0, 15.0, 30.0
FIRST_BYTE_S, IDLE_S = 30.0, 60.0
COARSE_S = 0.5
"""A deadline may be counted from the worker's last look at the clock, a tenth of a second ago or a bit more."""
BEHAVIOURS = {
    "quick": answering(),
    "silent": stalling_after(),
    "stuck": stalling_after(LONG_HEAD + b"x"),
    "endless": repeating(LONG_HEAD.replace(b"1000000", b"9" * 12), b"x" * 65536),
}


@dataclass
class Telling:
    """A balancer with a pool per behaviour, below its name."""

    balancer: Balancer

    def is_over_after(self, seconds: float, reason: str, raw: bytes, *, receive_buffer_bytes: int = 0) -> bool:
        """Whether, this sent and nothing else done, the time it has is ``seconds`` from now."""
        with RawClient(self.balancer.port, receive_buffer_bytes=receive_buffer_bytes) as one:
            before = time.monotonic()
            one.send(raw)
            earliest = before + seconds - COARSE_S
            wait_for(f"a {reason} in {seconds:g} s", lambda: self._at(reason) >= earliest, 10.0)
            return self._at(reason) <= time.monotonic() + seconds

    def _at(self, reason: str) -> float:
        file = self.balancer.state_dir / "deadlines"
        return float(json.loads(file.read_text()).get(reason, 0.0)) if file.exists() else 0.0


@pytest.fixture(scope="module")
def telling() -> Iterator[Telling]:
    with ExitStack() as stack:
        origins = {name: stack.enter_context(fault_origin(behave)) for name, behave in BEHAVIOURS.items()}
        pools = {name: simple_config([one.port])["pools"]["web"] for name, one in origins.items()}
        routes = [{"path": f"/{name}", "pool": name} for name in origins]
        config = {"pools": pools, "routes": routes}
        settings = "tests.support.settings.told_deadlines"
        yield Telling(stack.enter_context(running_balancer(config, settings=settings)))


def test_row_25_a_head_has_ten_seconds_by_default(telling: Telling) -> None:
    assert telling.is_over_after(HEAD_S, "head_timeout", b"GET / HT")


def test_row_26_a_silent_body_has_fifteen_seconds_by_default(telling: Telling) -> None:
    raw = request("/quick", method="POST", fields=["Content-Length: 100"]) + b"hello"
    assert telling.is_over_after(BODY_S, "body_timeout", raw)


def test_row_26_the_least_rate_of_a_body_is_a_kilobyte_per_second_over_ten() -> None:
    assert (MIN_RATE_BYTES, MIN_RATE_WINDOW_S) == (10 * 1024, 10.0)


def test_row_27_an_answer_that_is_not_read_has_thirty_seconds_by_default(telling: Telling) -> None:
    assert telling.is_over_after(WRITE_S, "client_gone", request("/endless"), receive_buffer_bytes=1024)


def test_row_39_a_head_of_a_backend_has_thirty_seconds_by_default(telling: Telling) -> None:
    assert telling.is_over_after(FIRST_BYTE_S, "backend_timeout", request("/silent"))


def test_row_39_a_silent_body_of_a_backend_has_sixty_seconds_by_default(telling: Telling) -> None:
    assert telling.is_over_after(IDLE_S, "upstream_truncated", request("/stuck"))


def test_what_the_worker_serves_with_is_what_the_configuration_says_by_default(telling: Telling) -> None:
    config = snapshot_file.read(str(telling.balancer.state_dir / "snapshot.json")).config
    (client,) = (one.timeouts for one in config.listeners if one.id == "traffic")
    assert (client.head_s, client.body_s, client.write_s) == (HEAD_S, BODY_S, WRITE_S)
    assert {(one.timeouts.first_byte_s, one.timeouts.idle_s) for one in config.pools} == {(FIRST_BYTE_S, IDLE_S)}
