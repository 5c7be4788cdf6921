"""Row 28: clients that vanish without a FIN or RST, as behind a cut cable: nobody is told, packets just end.

The kernel's timers for them are 15 and 30 s. They are shortened here, unless all is run in full.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.integration.wire.conftest import SLACK_S
from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import LONG_HEAD, answering, repeating, stalling_after
from tests.support.fault_origin import Behaviour, FaultOrigin, fault_origin
from tests.support.private_network import PrivateNetwork, from_port, to_port
from tests.support.raw_client import RawClient, request
from tests.support.scale import IS_FULL
from tests.support.waiting import wait_for

SETTINGS = "lb.server.gunicorn_conf" if IS_FULL else "tests.support.settings.short_timers"
NOTICED_S = 30.0 if IS_FULL else 3.0
TIMEOUTS = {"connect": "1s", "first_byte": "1h", "idle": "1h", "total": "1h"}
PATIENT = {"write": "1h", "keep_alive": "1h"}
"""Neither a backend nor a client is given up for any other reason."""


@pytest.fixture(scope="module")
def origin(network: PrivateNetwork) -> Iterator[FaultOrigin]:
    with ExitStack() as stack, network.entered():
        yield stack.enter_context(fault_origin())


@pytest.fixture(scope="module")
def balancer(network: PrivateNetwork, origin: FaultOrigin) -> Iterator[Balancer]:
    config = {
        **simple_config([origin.port], timeouts=TIMEOUTS),
        "listeners": {"traffic": {"timeouts": PATIENT}},
    }
    with network.entered(), running_balancer(config, settings=SETTINGS) as running:
        yield running


def is_connected(ss: str, port: int) -> bool:
    """Whether the balancer still has its end of a client's connection."""
    command = [ss, "-Htn", "state", "established", f"dport = :{port}"]
    return bool(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("behaviour", "inflight"),
    [
        (stalling_after(), 1),
        (repeating(LONG_HEAD.replace(b"1000000", b"10000000000"), b"x" * 65536), 1),
        (answering(), 0),
    ],
    ids=["waits", "reads", "idle"],
)
def test_row_28_a_client_that_vanished_is_found_out_and_holds_nothing(
    network: PrivateNetwork,
    balancer: Balancer,
    origin: FaultOrigin,
    requires: Callable[[str], str],
    behaviour: Behaviour,
    inflight: int,
) -> None:
    ss = requires("ss")
    origin.serve(behaviour)
    seen = len(origin.requests)
    with RawClient(balancer.port) as client:
        client.send(request("/"))
        assert origin.wait_until(lambda one: len(one.requests) > seen)
        port = client.sock.getsockname()[1]
        if inflight == 0:
            assert client.sock.recv(4096)
        wait_for("the request", lambda: balancer.inflight() == inflight, SLACK_S)
        with network.dropping(to_port(port), from_port(port)):
            assert is_connected(ss, port)
            wait_for("its end to be noticed", lambda: not is_connected(ss, port), NOTICED_S + 3 * SLACK_S)
            wait_for("nothing in flight", lambda: balancer.inflight() == 0, SLACK_S)
