"""What a valid file turns into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb import structs
from lb.config.load import load
from lb.errors import ConfigError
from lb.model import (
    AdaptiveOptions,
    Backend,
    FieldMatch,
    Health,
    Listener,
    ListenerTimeouts,
    Pool,
    PoolTimeouts,
    RateLimit,
    Redirect,
    Respond,
    Retry,
    Route,
)
from tests.unit.config.writing import SMALLEST, examined, loaded, written

LARGE = """\
listeners:
  traffic: {bind: ["0.0.0.0:6000", "[::]:6000"], proxy_protocol: off, body_limit: none,
            timeouts: {head: 10s, body: 15s, write: 30s, keep_alive: 75s, half_close: 500ms}}
  inside:  {bind: "unix:/run/lb.sock", body_limit: 10MiB}
  status:  {bind: "0.0.0.0:5051"}
  admin:   {bind: "127.0.0.1:5050", token: "${LB_ADMIN_TOKEN}"}
workers: 3
trusted_proxies: [10.0.0.0/8, "::1"]
state: {redis: "${LB_REDIS_URL:-}", dir: /srv/lb}
access_log: {path: off, format: combined}
graceful_timeout: 1m
pools:
  web:
    policy: {name: adaptive, weights: {cpu: 1, memory: 0.5}, maxima: {latency: 250ms}}
    backends:
      - http://127.0.0.1:5001
      - {id: eu-1, url: "https://10.1.0.7", weight: 3, region: EU, zone: b, max_inflight: 100, backup: false}
      - "http://[2001:db8::1]:8080"
      - unix:/run/app.sock
    health: {type: http, path: /health, interval: 2s, timeout: 1s, rise: 2, fall: 3, status: [2xx, 301]}
    timeouts: {connect: 1s, first_byte: 30s, idle: 60s, total: 2m, queue: 5s, tunnel: 1h}
    retry: {attempts: 3, on: [connect, reset, 502, 503, 504], budget: 20%, budget_min: 5/s}
    queue: {size: 50}
    host_header: backend
  api: {backends: [http://api:80], policy: round_robin}
routes:
  - {host: shop.example.com, path: /api, methods: [GET], pool: web, body_limit: 1MB, algo_override: true}
  - {host: ["A.example.com:8080", "*.b.example.com"], exact: /x, pool: api, policy: random, upgrades: []}
  - {path: /q, query: {v: {regex: "2[.].*"}, debug: true}, headers: {X-Beta: "1"}, pool: api}
  - {exact: /old, redirect: "https://{host}/new"}
  - {exact: /health, action: health}
  - {id: rest, respond: {status: 404, body: "nothing\\nhere\\n"}, error_style: text}
"""


def test_the_smallest_file_works(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST)
    assert [(listener.id, listener.kind, listener.bind) for listener in config.listeners] == [
        ("traffic", "traffic", ("0.0.0.0:5000", "[::]:5000")),
        ("status", "status", ("0.0.0.0:5051",)),
        ("admin", "admin", ("127.0.0.1:5050",)),
    ]
    backend = Backend("127.0.0.1:5001", host="127.0.0.1", port=5001)
    assert config.pools == (Pool("web", (backend,)),)
    assert config.routes == (Route("default", "pool", pool="web"),)
    assert config.workers == len(os.sched_getaffinity(0))
    assert config.source == str(tmp_path / "lb.yaml")


def test_every_default_is_the_models(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST + "routes: [{pool: web}]\n")
    assert config.routes == (Route("default", "pool", pool="web"),)
    for listener in config.listeners:
        assert listener == Listener(listener.id, listener.kind, listener.bind)
    assert config == structs.replace(
        type(config)(config.source, config.listeners, config.pools, config.routes, config.state),
        workers=config.workers,
        access_log=config.access_log,
    )


def test_a_large_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, LARGE, {"LB_ADMIN_TOKEN": "0123"})
    traffic, inside = config.listeners[:2]
    assert traffic.timeouts == ListenerTimeouts()
    assert (inside.kind, inside.bind, inside.body_limit_bytes) == ("traffic", ("unix:/run/lb.sock",), 10 << 20)
    assert {listener.id: listener.token for listener in config.listeners}["admin"] == "0123"
    assert config.state.dir == "/srv/lb" and config.state.redis == ""
    assert (config.access_log.path, config.access_log.format) == ("", "combined")
    assert (config.workers, config.graceful_timeout_s) == (3, 60.0)
    assert config.trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_large_pool(tmp_path: Path) -> None:
    web, api = loaded(tmp_path, LARGE, {"LB_ADMIN_TOKEN": "x"}).pools
    assert web.backends == (
        Backend("127.0.0.1:5001", host="127.0.0.1", port=5001),
        Backend("eu-1", "https", "10.1.0.7", 443, weight=3, region="EU", zone="b", max_inflight=100),
        Backend("[2001:db8::1]:8080", host="2001:db8::1", port=8080),
        Backend("/run/app.sock", unix_path="/run/app.sock"),
    )
    assert (web.policy, api.policy, web.host_header) == ("adaptive", "round_robin", "backend")
    assert web.adaptive == AdaptiveOptions(cpu=1.0, memory=0.5, max_latency_s=0.25)
    assert web.health == Health("http", "/health", status=(*range(200, 300), 301))
    assert web.timeouts == PoolTimeouts()
    assert web.queue_size == 50
    assert web.retry == Retry(3, ("connect", "reset", "502", "503", "504"), 20.0, 5.0)


def test_large_routes(tmp_path: Path) -> None:
    routes = loaded(tmp_path, LARGE, {"LB_ADMIN_TOKEN": "x"}).routes
    assert routes[:3] == (
        Route(
            "shop.example.com/api", "pool", ("shop.example.com",), "/api", methods=("GET",), pool="web",
            body_limit_bytes=10**6, algo_override=True,
        ),
        Route(
            "a.example.com:8080/x", "pool", ("a.example.com:8080", "*.b.example.com"), "/x", exact=True, pool="api",
            policy="random", upgrades=(),
        ),
        Route(
            "/q", "pool", path="/q", headers=(FieldMatch("x-beta", "1"),), pool="api",
            query=(FieldMatch("v", "2[.].*", regex=True), FieldMatch("debug")),
        ),
    )  # fmt: skip
    assert routes[3].redirect == Redirect("https://{host}/new", 308)
    assert [route.action for route in routes] == ["pool", "pool", "pool", "redirect", "health", "respond"]
    assert routes[5].respond == Respond(404, "nothing\nhere\n")


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("100/s", RateLimit(100.0, 100)),
        ("600/m", RateLimit(10.0, 600)),
        ("0.5/s", RateLimit(0.5, 1)),
        ("2.9/s", RateLimit(2.9, 2)),
        ("3000000000/h", RateLimit(3e9 / 3600, 1_000_000)),
        ("{rate: 100/s, burst: 200}", RateLimit(100.0, 200)),
    ],
)
def test_a_burst_is_the_number_in_the_rate_where_there_is_none(tmp_path: Path, limit: str, expected: RateLimit) -> None:
    routes = loaded(tmp_path, SMALLEST + f"routes: [{{pool: web, rate_limit: {limit}}}]\n").routes
    assert routes[0].rate_limit == expected


def test_names_of_routes_do_not_depend_on_their_place(tmp_path: Path) -> None:
    text = SMALLEST + "routes: [{path: /a, methods: GET, pool: web}, {path: /a, pool: web}, {pool: web}]\n"
    assert [route.id for route in loaded(tmp_path, text).routes] == ["/a", "/a-2", "default"]


def test_a_scheme_is_in_the_name_and_leaves_others_theirs(tmp_path: Path) -> None:
    text = (
        "routes: [{scheme: http, redirect: '{path}x'}, {scheme: https, host: a.b, path: /c, pool: web}, {pool: web}]\n"
    )
    routes = loaded(tmp_path, SMALLEST + text).routes
    assert [(route.id, route.scheme) for route in routes] == [
        ("http://*", "http"), ("https://a.b/c", "https"), ("default", ""),
    ]  # fmt: skip


def test_a_literal_star(tmp_path: Path) -> None:
    routes = loaded(tmp_path, SMALLEST + "routes: [{path: /a%2A, pool: web}, {exact: '/%2A', pool: web}]\n").routes
    assert [route.path for route in routes] == ["/a*", "/*"], "the form that the router compares"


@pytest.mark.parametrize(
    ("written_as", "environ", "expected"),
    [
        ("workers: ${N}", {"N": "7"}, 7),
        ('workers: "${N}"', {"N": "7"}, 7),
        ("workers: ${N:-5}", {}, 5),
        ("workers: ${N:-5}", {"N": ""}, 5),
        ("workers: ${A}${B}", {"A": "1", "B": "2"}, 12),
        ("workers: ${N}", {"N": "auto"}, len(os.sched_getaffinity(0))),
    ],
)
def test_variables(tmp_path: Path, written_as: str, environ: dict[str, str], expected: int) -> None:
    assert loaded(tmp_path, SMALLEST + written_as + "\n", environ).workers == expected


def test_dollars(tmp_path: Path) -> None:
    text = SMALLEST + 'routes: [{respond: {body: "$$5 or $${A} or $ or ${A}"}}]\n'
    respond = loaded(tmp_path, text, {"A": "$$x${A}"}).routes[0].respond
    assert respond and respond.body == "$5 or ${A} or $ or $$x${A}"


def test_yaml_of_today(tmp_path: Path) -> None:
    """``on`` is a key, ``NO`` is Norway, 08 is no number, anchors and merges work."""
    text = """\
    pools:
      web:
        retry: &retry {on: [connect], attempts: 1}
        backends: [{url: "http://a:1", region: NO, zone: 08}]
      api: {backends: [http://b:1], retry: {<<: *retry, attempts: 4}}
    routes: [{path: /api, pool: api}, {pool: web}]
    """
    web, api = loaded(tmp_path, text).pools
    assert (web.backends[0].region, web.backends[0].zone) == ("NO", "08")
    assert (web.retry, api.retry) == (Retry(1, ("connect",)), Retry(4, ("connect",)))


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    config = loaded(tmp_path, SMALLEST + "state: {dir: var}\naccess_log: log/access\n")
    assert config.state.dir == str(tmp_path / "var")
    assert config.access_log.path == str(tmp_path / "log/access")


def test_a_log_in_a_state_directory_that_is_yet_to_be_made(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST + "state: {dir: var}\naccess_log: var/mine.log\n")
    assert config.access_log.path == str(tmp_path / "var/mine.log")


def test_the_log_is_in_the_state_directory(tmp_path: Path) -> None:
    text = SMALLEST + "state: {dir: /srv/a}\n"
    assert loaded(tmp_path, text).access_log.path == "/srv/a/access.log"
    elsewhere = load(str(written(tmp_path, text)), {}, state_dir="/srv/b")
    assert (elsewhere.state.dir, elsewhere.access_log.path) == ("/srv/b", "/srv/b/access.log")
    assert loaded(tmp_path, SMALLEST + "access_log: '-'\n").access_log.path == "-"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("nothing", None, "cannot be read: No such file or directory"),
        ("latin", b"a: \xff", "cannot be read: not UTF-8 text"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes | None, expected: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(str(path), {})
    assert caught.value.problems == [f"{path}: {expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listeners: {admin: {bind: '0.0.0.0:5050'}}", "the admin listener is bound off loopback (0.0.0.0:5050)"),
        ("trusted_proxies: 0.0.0.0/0", "`0.0.0.0/0` believes the forwarded fields of every client"),
        (
            "pools: {web: {policy: round_robin, backends: [{url: http://h:1, weight: 3}]}}",
            "`round_robin` ignores weights; `weighted_round_robin` honours them",
        ),
        ("routes: [{respond: {}}]", "pool `web` is not used by any route"),
        (
            "routes: [{scheme: https, pool: web}]",
            "no request is `https`: no listener has `tls`, and no proxy is trusted",
        ),
        (
            "routes: [{path: /admin, respond: {status: 403}}, {pool: web}]",
            "`/admin` is no barrier by itself: backends may",
        ),
        (
            "routes: [{exact: /x, respond: {status: 404}}, {pool: web}]",
            "`/x/..%2fx` as this path too; `ambiguous_paths: r",
        ),
    ],
)
def test_warnings_do_not_stop_anything(tmp_path: Path, text: str, expected: str) -> None:
    report = examined(tmp_path, (text if text.startswith("pools:") else SMALLEST + text) + "\n")
    assert report.config is not None
    assert [expected in warning.message for warning in report.warnings] == [True]
    assert examined(tmp_path, SMALLEST).warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "ambiguous_paths: reject\nroutes: [{path: /admin, respond: {status: 403}}, {pool: web}]",
        "routes: [{host: a.test, respond: {status: 404}}, {pool: web}]",
        "routes: [{path: /robots.txt, respond: {body: 'User-agent: *'}}, {pool: web}]",
    ],
)
def test_what_bars_no_path_is_no_reason_to_warn(tmp_path: Path, text: str) -> None:
    assert examined(tmp_path, SMALLEST + text + "\n").warnings == ()


def test_ports_that_the_system_chooses_never_clash(tmp_path: Path) -> None:
    text = SMALLEST + "listeners: {traffic: {bind: ['127.0.0.1:0', '127.0.0.1:0']}, admin: {bind: '127.0.0.1:0'}}\n"
    assert loaded(tmp_path, text).listeners[0].bind
