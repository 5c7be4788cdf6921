"""What a change of configuration takes."""

from __future__ import annotations

import pytest

from lb.config.diff import restart_reasons
from lb.model import Backend, Certificate, Config, Listener, Pool, Route, State
from lb.structs import replace

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
    assert tuple(restart_reasons(OLD, replace(OLD, **change))) == (reason,)  # type: ignore[arg-type]


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
    assert tuple(restart_reasons(OLD, replace(OLD, **change))) == ()  # type: ignore[arg-type]
