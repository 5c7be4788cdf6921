"""A configuration of the Velocity load balancer (``config.yml``) as one of ours. Pure.

It has ``api_port``, ``listen_port`` and ``services``, each with ``name``, ``domain`` (a Host, often
with a port), ``targetURLs`` and ``algorythm`` (its spelling). What has no counterpart is reported
with its line, never dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from lb.config import checks, route_checks
from lb.config.problems import Finding, Path, Problem
from lb.config.source import Document

_POLICIES = {"roundrobin": "round_robin", "leastconnections": "least_connections"}
_TOP = {"api_port", "listen_port", "services"}
_port = re.compile(r":[0-9]+\Z")
_SERVICE = {"name", "domain", "targetURLs", "algorythm", "algorithm"}
_HEALTH = {"type": "tcp", "interval": "10s", "timeout": "2s"}
"""What Velocity does without saying so."""


@dataclass(slots=True)
class _Translation:
    config: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def skip(self, path: Path, message: str, *, at_key: bool = False) -> None:
        self.findings.append(Finding(path, message, at_key=at_key))


@dataclass(frozen=True, slots=True)
class Imported:
    """``text`` is our YAML; ``untranslated`` one problem for each line without a counterpart. Without
    ``services`` there is nothing that could be run."""

    text: str
    services: int
    untranslated: tuple[Problem, ...]


def translate(document: Document) -> Imported:
    """Whatever of ``document`` has a counterpart."""
    done = _Translation(findings=list(document.findings))
    if isinstance(document.data, dict):
        _translate(document.data, done)
    else:
        done.skip((), "not a Velocity configuration: expected a mapping with `services`")
    problems = sorted(document.problem(finding) for finding in done.findings)
    header = f"# Translated from {document.file} by `lb import velocity`.\n"
    body = yaml.safe_dump(done.config, sort_keys=False, default_flow_style=None, width=120)
    return Imported(header + body, len(done.config.get("pools", {})), tuple(problems))


def _translate(data: dict[str, Any], done: _Translation) -> None:
    _listeners(data, done)
    _services(data.get("services"), done)
    for name in data.keys() - _TOP:
        done.skip((name,), f"`{name}` has no counterpart", at_key=True)


def _listeners(data: dict[str, Any], done: _Translation) -> None:
    listeners = {}
    for key, name, host in (("listen_port", "traffic", "0.0.0.0"), ("api_port", "admin", "127.0.0.1")):
        if key not in data:
            continue
        try:
            port = checks.count(1, 65535)(data[key])
            listeners[name] = {"bind": f"{host}:{port}"}
        except ValueError as error:
            done.skip((key,), f"`{key}`: {error}")
    if listeners:
        done.config["listeners"] = listeners


def _services(services: Any, done: _Translation) -> None:
    pools: dict[str, Any] = {}
    routes: list[dict[str, Any]] = []
    if not isinstance(services, list):
        done.skip(("services",), "expected a list of services")
        services = []
    domains = {str(service.get("domain")) for service in services if isinstance(service, dict)}
    for position, service in enumerate(services):
        path: Path = ("services", position)
        if not isinstance(service, dict):
            done.skip(path, "expected a mapping with `domain` and `targetURLs`")
            continue
        _service(service, path, pools, routes, domains, done)
    done.config["pools"] = pools
    done.config["routes"] = [*routes, {"id": "unknown-host", "respond": {"status": 404, "body": "Service not found"}}]


def _service(
    service: dict[str, Any],
    path: Path,
    pools: dict[str, Any],
    routes: list[dict[str, Any]],
    domains: set[str],
    done: _Translation,
) -> None:
    for key in service.keys() - _SERVICE:
        done.skip((*path, key), f"`{key}` has no counterpart", at_key=True)
    backends = list(_backends(service.get("targetURLs"), (*path, "targetURLs"), done))
    host = _host(service.get("domain"), (*path, "domain"), domains, done)
    if not backends or host is None:
        done.skip(path, "service left out: it needs a `domain` and at least one usable URL in `targetURLs`")
        return
    if any(host == route["host"] for route in routes):
        done.skip((*path, "domain"), f"service left out: an earlier one has the domain `{host}`")
        return
    name = _pool_name(service.get("name"), host, pools, (*path, "name"), done)
    pools[name] = {"policy": _policy(service, path, done), "backends": backends, "health": dict(_HEALTH)}
    routes.append({"id": name, "host": host, "pool": name, "error_style": "text"})


def _backends(urls: Any, path: Path, done: _Translation) -> Iterator[str]:
    seen = set()
    for position, url in enumerate(urls if isinstance(urls, list) else []):
        try:
            address = checks.backend_url(url)
        except ValueError as error:
            done.skip((*path, position), str(error))
            continue
        if address in seen:
            done.skip((*path, position), f"`{url}` is there twice; give it a weight of 2 instead")
            continue
        seen.add(address)
        yield str(url)


def _bare(domain: Any) -> str:
    """Without its port."""
    return _port.sub("", str(domain))


def _host(domain: Any, path: Path, domains: set[str], done: _Translation) -> str | None:
    """Without its port where no other service has the same name with another: who listens on another port now is
    asked for it by another `Host`, and a host without a port matches with any."""
    if domain is None:
        return None
    try:
        host = route_checks.host_pattern(domain)
        has_namesake = any(other != domain and _bare(other) == _bare(domain) for other in domains)
        return host if has_namesake else _bare(host)
    except ValueError as error:
        done.skip(path, f"`domain`: {error}")
        return None


def _pool_name(name: Any, host: str, pools: dict[str, Any], path: Path, done: _Translation) -> str:
    """The service's name if it is one of ours, else one made of its host."""
    wanted = str(name) if name is not None else host
    clean = "".join(char if (char.isascii() and char.isalnum()) or char in "_.-" else "-" for char in wanted)
    clean = clean.strip(".-")[:60] or "service"
    clean = f"{clean}-pool" if clean == "control" else clean
    number, found = 1, clean
    while found in pools:
        number += 1
        found = f"{clean}-{number}"
    if name is not None and found != name:
        done.skip(path, f"service `{name}` is called `{found}` here")
    return found


def _policy(service: dict[str, Any], path: Path, done: _Translation) -> str:
    key = "algorythm" if "algorythm" in service else "algorithm"
    word = service.get(key)
    policy = _POLICIES.get(str(word).lower().replace("_", "").replace("-", ""))
    if policy is None and word is not None:
        done.skip((*path, key), f"unknown algorithm `{word}`: round_robin is taken")
    return policy or "round_robin"
