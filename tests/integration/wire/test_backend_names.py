"""Row 55: backends named by host, whose names move or stop resolving, through the system's own resolver.

The balancer sees an /etc/hosts of ours, mounted over the system's, in a network without name servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lb.proxy.resolver import INTERVAL_S
from tests.integration.wire.conftest import SLACK_S
from tests.support.balancer import Balancer, running_balancer
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.private_network import PrivateNetwork
from tests.support.raw_client import get
from tests.support.waiting import wait_for

OLD, NEW = "127.0.0.11", "127.0.0.12"
WITH_OUR_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclass
class Names:
    """``file`` is what the balancer has for /etc/hosts."""

    balancer: Balancer
    file: Path
    old: FaultOrigin
    new: FaultOrigin

    def answers(self, name: str) -> bytes:
        """Which of both answers a request for the pool of this name; a 503 has neither's body."""
        return get(self.balancer.port, f"/{name}").body


@pytest.fixture
def names(network: PrivateNetwork, tmp_path: Path, requires: Callable[[str], str]) -> Iterator[Names]:
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{OLD} moves.test\n{OLD} vanishes.test\n")
    command = [requires("unshare"), "--mount", "--propagation", "private", "sh", "-c", WITH_OUR_HOSTS, str(hosts)]
    with ExitStack() as stack, network.entered():
        old = stack.enter_context(fault_origin(answering(saying(b"old")), address=OLD))
        new = stack.enter_context(fault_origin(answering(saying(b"new")), address=NEW, port=old.port))
        config = {
            "pools": {
                name: {"backends": [f"http://{name}.test:{old.port}"], "health": {"type": "none"}}
                for name in ("moves", "vanishes")
            },
            "routes": [{"path": f"/{name}", "pool": name} for name in ("moves", "vanishes")],
        }
        yield Names(stack.enter_context(running_balancer(config, through=command)), hosts, old, new)


def saying(word: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(word) + word


def test_row_55_a_name_that_moves_takes_its_traffic_along_and_one_that_vanishes_stays(names: Names) -> None:
    """Kept connections to the old address are not used for ever either: its process may be anybody's by now."""
    for name in ("moves", "vanishes"):
        wait_for(f"an answer from {name}", lambda name=name: names.answers(name) == b"old", SLACK_S)  # type: ignore[misc]
    names.file.write_text(f"{NEW} moves.test\n")
    wait_for("the new address", lambda: names.answers("moves") == b"new", 2 * INTERVAL_S + SLACK_S)
    wait_for("a failed look-up", lambda: "name=vanishes.test error=" in names.balancer.log(), 2 * INTERVAL_S)
    assert [names.answers("moves") for _ in range(10)] == [b"new"] * 10
    assert [names.answers("vanishes") for _ in range(10)] == [b"old"] * 10
    assert names.old.wait_until(lambda one: one.ended == one.connections - 1), "only vanishes.test is still used"
