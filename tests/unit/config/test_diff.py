"""What a change of configuration takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lb.config.diff import Changes, diff
from lb.model import Backend, Certificate, Config, Listener, Pool, Route, State

LISTENER = Listener("traffic", "traffic", ("0.0.0.0:80",))
POOL = Pool("web", (Backend("a"), Backend("b")))
OLD = Config(
    "x", (LISTENER,), (POOL,), (Route("one", "pool", pool="web"), Route("two", "health")), State("/s"), workers=2
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"workers": 3}, "workers: 2 -> 3"),
        ({"state": State("/t")}, "state.dir: /s -> /t"),
        ({"listeners": (replace(LISTENER, bind=("0.0.0.0:81",)),)}, "listener traffic: bind 0.0.0.0:80 -> 0.0.0.0:81"),
        ({"listeners": (replace(LISTENER, certificates=(Certificate("c", "k"),)),)}, "listener traffic: tls changed"),
        ({"listeners": (replace(LISTENER, proxy_protocol=True),)}, "listener traffic: proxy_protocol on"),
        ({"listeners": (LISTENER, replace(LISTENER, id="b"))}, "listener b added"),
        ({"listeners": ()}, "listener traffic removed"),
    ],
)
def test_what_takes_new_workers(change: dict[str, object], reason: str) -> None:
    assert diff(OLD, replace(OLD, **change)).restart == (reason,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"listeners": (replace(LISTENER, body_limit_bytes=5),)},
        {"pools": (replace(POOL, policy="random"),)},
        {"routes": ()},
        {"state": State("/s", redis="redis://h")},
        {"trusted_proxies": ("10.0.0.0/8",)},
        {"graceful_timeout_s": 1.0},
        {},
    ],
)
def test_what_a_snapshot_brings_about(change: dict[str, object]) -> None:
    assert diff(OLD, replace(OLD, **change)).restart == ()  # type: ignore[arg-type]


def test_members() -> None:
    pool = replace(POOL, backends=(Backend("b", weight=2), Backend("c")))
    found = diff(OLD, replace(OLD, pools=(pool, Pool("api", (Backend("z"),)))))
    assert found.pools == Changes(added=("api",), changed=("web",))
    assert found.backends == Changes(added=("api/z", "web/c"), removed=("web/a",), changed=("web/b",))
    assert str(found) == (
        "pools: 1 added (api), 1 changed (web); backends: 2 added (api/z, web/c), 1 removed (web/a), 1 changed (web/b)"
    )


def test_the_order_of_routes_counts() -> None:
    found = diff(OLD, replace(OLD, routes=OLD.routes[::-1]))
    assert found.is_reordered and not found.routes
    assert str(found) == "routes in another order"
    assert not diff(OLD, replace(OLD, routes=(Route("new", "health"), *OLD.routes))).is_reordered
