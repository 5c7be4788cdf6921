"""``health.scope: cluster``: one of two machines probes for both, and whoever hears nothing probes for itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from lb.admin.state import describe_store
from lb.controller.controller import Controller
from lb.controller.sync import Sync
from lb.controller.verdicts import Verdicts
from lb.health.probe import ProbeResult, ProbeTarget, probe
from lb.model import Health, Pool
from lb.state.layout import DOWN, SH_PROBES_OK, SH_REFUSED_NS, SH_VERDICT, UP
from lb.structs import replace
from tests.integration.controller.machine import QUICK, Machine, wait_until
from tests.support.redis_server import RedisServer, redis_server
from tests.unit.health.origin import Origin, status

SHARED = replace(QUICK, scope="cluster")
WATCHED_S = 1.0
PROMISED_S = 1.0
"""From the verdict of the machine that probes to the others'."""
SLACK = 3
TAKEN_OVER_S = 2.5
HANGS_S = 3600.0
PATIENCE_S = 30.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


class Cluster:
    """Two machines in this process, one backend."""

    def __init__(self, folder: Path, server: RedisServer, origin: Origin) -> None:
        self.origin = origin
        self.server = server
        self.machines: list[Machine] = []
        self.controllers: list[Controller] = []
        for name in ("a", "b"):
            (folder / name).mkdir()
            self.machines.append(Machine(folder / name))
            self.controllers.append(_without_other_parts(self.machines[-1].controller()))

    def start(self, *healths: Health) -> None:
        """The health settings of each; one for both."""
        for position, controller in enumerate(self.controllers):
            self.publish(position, healths[position % len(healths)])
            controller.start()

    def publish(self, position: int, health: Health) -> None:
        pool = Pool("web", (self.origin.backend(),), health=health)
        name = "ab"[position]
        self.machines[position].publish(pool, redis=self.server.url, prefix="t", machine=name)

    def cells(self, position: int) -> memoryview:
        return self.machines[position].shared("web/b")

    def verdicts(self) -> list[int]:
        return [self.cells(position)[SH_VERDICT] for position in (0, 1)]

    def probing(self) -> list[int]:
        """Who probes now, by looking for a second."""
        before = [self.cells(position)[SH_PROBES_OK] for position in (0, 1)]
        gevent.sleep(WATCHED_S)
        return [position for position in (0, 1) if self.cells(position)[SH_PROBES_OK] > before[position] + 1]

    def prober(self) -> int:
        """Who probes for both, once only one does."""
        found: list[int] = []

        def is_one() -> bool:
            found[:] = self.probing()
            return len(found) == 1

        wait_until(is_one, 30.0)
        return found[0]

    def said_prober(self, position: int) -> str:
        part = self.controllers[position].sync.part("verdicts")
        return part.prober if isinstance(part, Verdicts) else ""

    def close(self) -> None:
        for controller in self.controllers:
            controller.stop()


def _without_other_parts(controller: Controller) -> Controller:
    """That of operators waits for a child process, in which time nothing else would run here."""
    controller.sync = Sync(lambda link: [Verdicts(link, controller.board)])
    return controller


@pytest.fixture
def cluster(tmp_path: Path, server: RedisServer) -> Iterator[Cluster]:
    with ExitStack() as stack:
        one = Cluster(tmp_path, server, stack.enter_context(Origin()))
        stack.callback(one.close)
        yield one


def test_one_probes_and_both_know_at_once(cluster: Cluster, server: RedisServer) -> None:
    cluster.start(SHARED)
    wait_until(lambda: cluster.verdicts() == [UP, UP])
    prober = cluster.prober()
    assert {cluster.said_prober(0), cluster.said_prober(1)} == {"ab"[prober]}
    assert describe_store(cluster.controllers[0].sync, "a")["probes_by"] == "ab"[prober]
    assert list(cluster.controllers[1 - prober].roster.last_results().values()) == [None], "it was not its own"
    (told,) = (value for key, value in server.client().hgetall("{t}:health").items() if key != "+")
    assert told == "up"
    for script, verdict in ((status(503), DOWN), (status(200), UP)):
        cluster.origin.script = script
        wait_until(lambda: cluster.cells(prober)[SH_VERDICT] == verdict)  # noqa: B023  called at once
        since = time.monotonic()
        wait_until(lambda: cluster.verdicts() == [verdict, verdict])  # noqa: B023
        assert time.monotonic() - since < PROMISED_S * SLACK


def test_another_takes_over_from_one_that_vanishes(cluster: Cluster) -> None:
    cluster.start(SHARED)
    prober = cluster.prober()
    victim = cluster.controllers[prober]
    for running in victim.sync._running:  # as with kill -9: nothing is given up
        running.loop.stop()
    victim.roster.stop()
    since = time.monotonic()
    before = cluster.cells(1 - prober)[SH_PROBES_OK]
    wait_until(lambda: cluster.cells(1 - prober)[SH_PROBES_OK] > before)
    assert time.monotonic() - since < TAKEN_OVER_S * SLACK
    cluster.origin.script = status(503)
    wait_until(lambda: cluster.cells(1 - prober)[SH_VERDICT] == DOWN)


def test_one_that_ends_hands_over_at_once(cluster: Cluster) -> None:
    cluster.start(SHARED)
    prober = cluster.prober()
    cluster.controllers[prober].stop()
    before, since = cluster.cells(1 - prober)[SH_PROBES_OK], time.monotonic()
    wait_until(lambda: cluster.cells(1 - prober)[SH_PROBES_OK] > before)
    assert time.monotonic() - since < PROMISED_S * SLACK
    assert cluster.verdicts() == [UP, UP]


def test_without_the_store_each_probes_for_itself(cluster: Cluster, server: RedisServer) -> None:
    cluster.start(SHARED)
    cluster.prober()
    server.kill()
    wait_until(lambda: cluster.probing() == [0, 1])
    assert not any("probes_by" in describe_store(controller.sync, "") for controller in cluster.controllers)
    cluster.origin.script = status(503)
    wait_until(lambda: cluster.verdicts() == [DOWN, DOWN])
    cluster.origin.script = status(200)
    wait_until(lambda: cluster.verdicts() == [UP, UP])
    server.start()
    cluster.prober()
    server.client().flushall()
    gevent.sleep(WATCHED_S)
    assert cluster.verdicts() == [UP, UP]
    cluster.prober()


def test_who_cannot_connect_looks_for_itself(cluster: Cluster) -> None:
    """What one machine cannot reach is not another's to judge."""
    cluster.start(SHARED)
    other = 1 - cluster.prober()
    cells = cluster.cells(other)
    before = cells[SH_PROBES_OK]
    cells[SH_REFUSED_NS] = time.monotonic_ns()
    wait_until(lambda: cells[SH_PROBES_OK] > before)
    assert other not in cluster.probing(), "its own probe was good: it believes the other again"


def test_one_that_is_cut_off_takes_nobody_elses_traffic_away(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that probes for all reaches the store, but no backend."""
    cluster.start(SHARED)
    prober = cluster.prober()
    (cut_off,) = cluster.controllers[prober].roster._probers.values()
    failed = ProbeResult(ok=False, reason="timeout", duration_s=0.0)
    monkeypatch.setattr(
        "lb.controller.prober.probe", lambda target: failed if target is cut_off.target else probe(target)
    )
    ours, theirs = cluster.cells(1 - prober), cluster.cells(prober)
    wait_until(lambda: theirs[SH_VERDICT] == DOWN)
    until = time.monotonic() + WATCHED_S
    while time.monotonic() < until:
        assert ours[SH_VERDICT] == UP
        gevent.sleep(0.01)
    for script, verdict in ((status(503), DOWN), (status(200), UP)):
        cluster.origin.script = script
        wait_until(lambda: ours[SH_VERDICT] == verdict)  # noqa: B023  called at once
        assert theirs[SH_VERDICT] == DOWN
    monkeypatch.undo()
    wait_until(lambda: cluster.verdicts() == [UP, UP])
    assert cluster.prober() == prober


@pytest.mark.parametrize("is_nameless", [False, True])
def test_one_whose_probes_bring_nothing_is_believed_no_longer(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, is_nameless: bool
) -> None:
    """They hang, or its name server is away: it keeps the verdict that it had, and that is nobody else's."""
    monkeypatch.setattr("lb.controller.prober.WAIT_S", 0.0)
    cluster.start(SHARED)
    prober = cluster.prober()
    (blind,) = cluster.controllers[prober].roster._probers.values()

    def nothing(target: ProbeTarget) -> ProbeResult:
        if target is not blind.target:
            return probe(target)
        gevent.sleep(0 if is_nameless else HANGS_S)
        return ProbeResult(ok=False, reason="no address", duration_s=0.0, has_address=False)

    monkeypatch.setattr("lb.controller.prober.probe", nothing)
    cluster.origin.script = status(503)
    wait_until(lambda: cluster.cells(1 - prober)[SH_VERDICT] == DOWN)
    assert cluster.cells(prober)[SH_VERDICT] == UP


def test_nobody_believes_who_probes_otherwise(cluster: Cluster) -> None:
    cluster.start(SHARED, replace(SHARED, path="/other"))
    wait_until(lambda: "" not in (cluster.said_prober(0), cluster.said_prober(1)))
    gevent.sleep(WATCHED_S)
    assert cluster.probing() == [0, 1]


def test_a_reload_begins_and_ends_it(cluster: Cluster, server: RedisServer) -> None:
    cluster.start(QUICK)
    wait_until(lambda: cluster.verdicts() == [UP, UP])
    wait_until(lambda: cluster.probing() == [0, 1], PATIENCE_S)
    assert not server.client().exists("{t}:health")
    for position in (0, 1):
        cluster.publish(position, SHARED)
    cluster.prober()
    for position in (0, 1):
        cluster.publish(position, QUICK)
    wait_until(lambda: cluster.probing() == [0, 1] and not server.client().exists("{t}:lease:health"))


def test_where_nothing_is_probed_nobody_does(cluster: Cluster, server: RedisServer) -> None:
    cluster.start(replace(SHARED, type="none"))
    wait_until(lambda: cluster.verdicts() == [UP, UP])
    gevent.sleep(WATCHED_S)
    assert not server.client().exists("{t}:lease:health")


@pytest.mark.parametrize(
    "junk",
    [
        {"+": "nobody"},
        {"web/b@x#1": "down"},
        {"+": "99 1 c", "web/b@x#1": "down", "more": "\x00"},
    ],
)
def test_junk_is_no_verdict(cluster: Cluster, server: RedisServer, junk: dict[str, str]) -> None:
    cluster.start(SHARED)
    cluster.prober()
    client = server.client()
    client.delete("{t}:health")
    client.hset("{t}:health", mapping=junk)
    gevent.sleep(WATCHED_S)
    assert cluster.verdicts() == [UP, UP]
    cluster.prober()
    assert client.hget("{t}:health", "+").split()[2] in ("a", "b")
