from __future__ import annotations

from lb.controller.plan import plan
from lb.model import AdaptiveOptions, Backend, BackendTls, Config, Health, Pool, Route, Snapshot, State

WEB = Pool(
    "web",
    (Backend("a", host="10.0.0.1", port=80), Backend("b", host="10.0.0.2", port=80)),
    tls=BackendTls(verify=False),
    health=Health("http", path="/health", timeout_s=1.0),
)
QUIET = Pool("quiet", (Backend("a", host="10.0.0.3", port=80),), health=Health("none"))


def snapshot(*pools: Pool, routes: tuple[Route, ...] = ()) -> Snapshot:
    return Snapshot(1, Config("lb.yaml", (), pools, routes, State("/tmp")), "/dev/shm/lb.seg", {})


def test_every_backend_is_probed_as_its_pool_says() -> None:
    probes = plan(snapshot(WEB, QUIET)).probes
    assert sorted(probes) == ["quiet/a", "web/a", "web/b"]
    target = probes["web/b"]
    assert (target.backend, target.health, target.tls) == (WEB.backends[1], WEB.health, WEB.tls)


def test_only_what_can_be_balanced_by_adaptive_is_polled() -> None:
    elsewhere = Route("r", "pool", pool="quiet", algo_override=True)
    assert plan(snapshot(WEB, routes=(Route("r", "pool", pool="web"), elsewhere))).polls == {}
    assert sorted(plan(snapshot(WEB, QUIET, routes=(elsewhere,))).polls) == ["quiet/a"]


def test_a_poll_ends_before_the_next_begins() -> None:
    options = AdaptiveOptions(metrics_path="/load", poll_interval_s=0.25)
    poll = plan(snapshot(Pool("p", WEB.backends, policy="adaptive", adaptive=options, health=WEB.health))).polls["p/a"]
    assert (poll.target.path, poll.target.timeout_s, poll.interval_s) == ("/load", 0.25, 0.25)


def test_what_an_operator_disabled_is_asked_nothing() -> None:
    drained, disabled = Backend("a", host="h", port=1, state="drain"), Backend("b", host="h", port=2, state="disabled")
    wanted = plan(snapshot(Pool("web", (drained, disabled), policy="adaptive")))
    assert list(wanted.probes) == list(wanted.polls) == ["web/a"]


def test_weights_and_states_disturb_no_prober() -> None:
    before = plan(snapshot(Pool("web", (Backend("a", host="h", port=1),), policy="adaptive")))
    after = plan(snapshot(Pool("web", (Backend("a", host="h", port=1, weight=9, state="drain"),), policy="adaptive")))
    assert before == after
