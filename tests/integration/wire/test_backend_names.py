"""Row 55: backends named by host, whose names move or stop resolving, through the system's own resolver.

The balancer sees an /etc/hosts of ours, mounted over the system's, in a network without name servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lb.model import Health
from lb.proxy.resolver import INTERVAL_S
from tests.integration.wire.conftest import SLACK_S
from tests.support.balancer import Balancer, running_balancer
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.private_network import PrivateNetwork
from tests.support.raw_client import get
from tests.support.waiting import wait_for

PROBES_S = 3 * Health().interval_s * (Health().fall + 2)
"""Within it more probes are made than a verdict needs, on a slow machine too."""
OLD, NEW = "127.0.0.11", "127.0.0.12"
WITH_OUR_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclass
class Names:
    """``file`` is what the balancer and its controller have for /etc/hosts."""

    balancer: Balancer
    file: Path
    old: FaultOrigin
    new: FaultOrigin
    is_probed: bool

    def answers(self, name: str) -> bytes:
        """Which of both answers a request for the pool of this name; a 503 has neither's body."""
        return get(self.balancer.port, f"/{name}").body


@pytest.fixture(params=[False, True], ids=["unprobed", "probed"])
def names(
    network: PrivateNetwork, tmp_path: Path, requires: Callable[[str], str], request: pytest.FixtureRequest
) -> Iterator[Names]:
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{OLD} moves.test\n{OLD} vanishes.test\n")
    command = [requires("unshare"), "--mount", "--propagation", "private", "sh", "-c", WITH_OUR_HOSTS, str(hosts)]
    is_probed = bool(request.param)
    health = {} if is_probed else {"type": "none"}
    with ExitStack() as stack, network.entered():
        old = stack.enter_context(fault_origin(answering(saying(b"old")), address=OLD))
        new = stack.enter_context(fault_origin(answering(saying(b"new")), address=NEW, port=old.port))
        config = {
            "pools": {
                name: {"backends": [f"http://{name}.test:{old.port}"], "health": health}
                for name in ("moves", "vanishes")
            },
            "routes": [{"path": f"/{name}", "pool": name} for name in ("moves", "vanishes")],
        }
        balancer = stack.enter_context(running_balancer(config, through=command, with_controller=is_probed))
        yield Names(balancer, hosts, old, new, is_probed)


def saying(word: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(word) + word


def test_row_55_a_name_that_moves_takes_its_traffic_along_and_one_that_vanishes_stays(names: Names) -> None:
    """Kept connections to the old address are not used for ever either: its process may be anybody's by now."""
    for name in ("moves", "vanishes"):
        wait_for(f"an answer from {name}", lambda name=name: names.answers(name) == b"old", SLACK_S)  # type: ignore[misc]
    if names.is_probed:
        wait_for("probes of both", lambda: names.balancer.log().count("verdict=up") == 2, PROBES_S)
    names.file.write_text(f"{NEW} moves.test\n")
    wait_for("the new address", lambda: names.answers("moves") == b"new", 2 * INTERVAL_S + SLACK_S)
    wait_for("a failed look-up", lambda: "name=vanishes.test error=" in names.balancer.log(), 2 * INTERVAL_S)
    if names.is_probed:
        wait_for_probes_without_a_name(names)
    assert [names.answers("moves") for _ in range(10)] == [b"new"] * 10
    assert [names.answers("vanishes") for _ in range(10)] == [b"old"] * 10
    assert names.old.wait_until(lambda one: one.ended == one.connections - 1), "only vanishes.test is still used"
    killed = names.balancer.workers()
    for worker in killed:
        worker.kill()
    wait_for("another worker", lambda: set(names.balancer.workers()) - set(killed), SLACK_S)
    assert [names.answers("vanishes") for _ in range(10)] == [b"old"] * 10, "it was told what the one before knew"


def wait_for_probes_without_a_name(names: Names) -> None:
    """More of them than make a verdict; to the old address, which is all that is known of the name."""
    wait_for("the prober's failed look-up", lambda: "name=vanishes.test resolved=no" in names.balancer.log(), PROBES_S)
    enough = names.old.connections + Health().fall + 2
    wait_for("probes", lambda: names.old.connections >= enough, PROBES_S)
