"""Configurations of Velocity as ours."""

from __future__ import annotations

from pathlib import Path

import yaml

from lb.config.load import load
from lb.config.source import parse_document
from lb.config.velocity import translate
from lb.model import Health, Respond

THEIRS = """\
# The names shul and shul2 are like different services' url domain names
api_port: 3000
listen_port: 8000
services:
  - name: "shul"
    domain: "shul:8000"
    targetURLs:
      - "http://localhost:8001"
      - "http://localhost:8002"
    algorythm: "RoundRobin"

  - name: "shul2"
    domain: "shul2"
    targetURLs:
      - "http://localhost:8003"
      - "http://10.0.0.1"
    algorythm: "LeastConnections"
"""


def said(text: str) -> list[str]:
    return [str(problem) for problem in translate(parse_document(text, "config.yml", {})).untranslated]


def test_their_own_example(tmp_path: Path) -> None:
    imported = translate(parse_document(THEIRS, "config.yml", {}))
    assert imported.untranslated == ()
    path = tmp_path / "lb.yaml"
    path.write_text(imported.text)
    config = load(str(path), {})
    assert {listener.id: listener.bind for listener in config.listeners} == {
        "traffic": ("0.0.0.0:8000",),
        "admin": ("127.0.0.1:3000",),
        "status": ("0.0.0.0:5051",),
    }
    assert [(pool.id, pool.policy, [backend.address for backend in pool.backends]) for pool in config.pools] == [
        ("shul", "round_robin", ["localhost:8001", "localhost:8002"]),
        ("shul2", "least_connections", ["localhost:8003", "10.0.0.1:80"]),
    ]
    assert config.pools[0].health == Health("tcp", interval_s=10.0, timeout_s=2.0)
    assert [(route.hosts, route.pool) for route in config.routes[:2]] == [
        (("shul",), "shul"),
        (("shul2",), "shul2"),
    ]
    assert config.routes[2].respond == Respond(404, "Service not found")


def test_ports_stay_where_they_tell_two_services_apart() -> None:
    text = """\
services:
  - {name: a, domain: "h:80", targetURLs: ["http://a"]}
  - {name: b, domain: "h:81", targetURLs: ["http://b"]}
  - {name: c, domain: "[::1]:80", targetURLs: ["http://c"]}
  - {name: d, domain: "[::2]", targetURLs: ["http://d"]}
"""
    imported = yaml.safe_load(translate(parse_document(text, "config.yml", {})).text)
    assert [route.get("host") for route in imported["routes"]] == ["h:80", "h:81", "[::1]", "[::2]", None]


def test_every_line_without_a_counterpart_is_named() -> None:
    text = """\
api_port: high
timeout: 5
services:
  - name: a b
    domain: "h:80"
    targetURLs: [http://a/path, "http://b:1", "http://b:1"]
    algorythm: Fastest
    weight: 3
  - {domain: "h:80", targetURLs: ["http://c"]}
  - {name: empty, domain: x}
  - 5
"""
    assert said(text) == [
        "config.yml:1:11: `api_port`: expected a whole number, got `high`",
        "config.yml:2:1: `timeout` has no counterpart",
        "config.yml:4:11: service `a b` is called `a-b` here",
        "config.yml:6:18: a backend URL ends after the port: `/path` does not belong here",
        "config.yml:6:47: `http://b:1` is there twice; give it a weight of 2 instead",
        "config.yml:7:16: unknown algorithm `Fastest`: round_robin is taken",
        "config.yml:8:5: `weight` has no counterpart",
        "config.yml:9:14: service left out: an earlier one has the domain `h`",
        "config.yml:10:5: service left out: it needs a `domain` and at least one usable URL in `targetURLs`",
        "config.yml:11:5: expected a mapping with `domain` and `targetURLs`",
    ]


def test_what_is_no_velocity_file() -> None:
    assert said("[1]") == ["config.yml:1:1: not a Velocity configuration: expected a mapping with `services`"]
