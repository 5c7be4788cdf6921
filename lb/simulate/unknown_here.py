"""Keys that a configuration's sections have and that mean nothing in a simulation: who writes one is told so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lb.config.problems import Finding, Path
from lb.config.section import Section
from lb.simulate.schema import ScenarioEntry

_CONNECTIONS = "connections take no time here"
_PROBES = "a probe fails while a backend is `down`, whatever it asks for"
_TIMEOUTS = {
    "connect": _CONNECTIONS,
    "idle": "an answer comes at once when it is ready",
    "queue": "nobody waits for a backend at its `max_inflight`",
    "tunnel": "there are no tunnels",
}
_HEALTH = dict.fromkeys(("type", "path", "host", "port", "status", "timeout"), _PROBES)
_POLICY = {
    "key": "a request has nothing to hash but its client",
    "metrics_path": "a backend is asked for its load without a path",
    "remember": "clients are remembered to the end",
}
_PROBE = dict.fromkeys(
    ("path", "header", "timeout"), "a probe is answered at once, with the backend's own requests in flight"
)


def unknown_here(entry: ScenarioEntry) -> Iterator[Finding]:
    yield from _named(entry.timeouts, ("timeouts",), _TIMEOUTS)
    yield from _named(entry.health, ("health",), _HEALTH)
    for position, policy in enumerate(entry.policies):
        yield from _named(policy, ("policies", position), _POLICY)
        yield from _named(policy.probe, ("policies", position, "probe"), _PROBE)


def _named(section: Section, path: Path, reasons: Mapping[str, str]) -> Iterator[Finding]:
    for key, reason in reasons.items():
        if key in section.model_fields_set:
            yield Finding((*path, key), f"`{key}` is not simulated: {reason}", at_key=True)
