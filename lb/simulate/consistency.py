"""What does not fit together in a scenario, though each value alone is fine."""

from __future__ import annotations

from collections.abc import Iterator

from lb.config.custom_policy import custom_mistakes
from lb.config.problems import Finding, Path
from lb.config.section import Section
from lb.model import Backend
from lb.simulate.place_checks import place_mistakes
from lb.simulate.schema import FaultEntry, GroupEntry, ScenarioEntry
from lb.simulate.unknown_here import unknown_here

MAX_BACKENDS = 10_000


def inconsistencies(entry: ScenarioEntry, folder: str) -> Iterator[Finding]:
    """``folder``: where a user's own policies are looked for."""
    members = [Backend(f"{name}-1", weight=group.weight) for name, group in entry.backends.items()]
    for position, policy in enumerate(entry.policies):
        yield from custom_mistakes(policy, ("policies", position), folder, members or [Backend("none")])
    yield from _one_of(entry.arrivals, ("arrivals",), "rate", "load", "log")
    if entry.arrivals.rate == 0.0 or entry.arrivals.load == 0.0:
        yield Finding(("arrivals",), "expected more than no requests at all")
    if entry.arrivals.log is None and entry.duration is None and entry.requests is None:
        yield Finding((), "say how long: `duration`, `requests`, or both")
    if not entry.policies:
        yield Finding(("policies",), "name at least one policy")
    if not entry.backends:
        yield Finding(("backends",), "name at least one group")
    if sum(group.count for group in entry.backends.values()) > MAX_BACKENDS:
        yield Finding(("backends",), f"more than {MAX_BACKENDS} backends")
    for name, group in entry.backends.items():
        yield from _in_group(group, ("backends", name))
    yield from place_mistakes(entry)
    yield from unknown_here(entry)


def _in_group(group: GroupEntry, path: Path) -> Iterator[Finding]:
    service = group.service
    yield from _one_of(service, (*path, "service"), *type(service).model_fields)
    if service.pareto is not None and service.pareto.alpha <= 1.0:
        yield Finding((*path, "service", "pareto", "alpha"), "expected more than 1: below, there is no mean")
    for position, fault in enumerate(group.faults):
        yield from _in_fault(fault, (*path, "faults", position))
    antagonists = group.antagonists
    if antagonists is not None and antagonists.lasts >= antagonists.every:
        yield Finding((*path, "antagonists", "lasts"), "expected less than `every`: it would never be gone")


def _in_fault(fault: FaultEntry, path: Path) -> Iterator[Finding]:
    if sum((fault.slow is not None, fault.failing is not None, fault.down)) != 1:
        yield Finding(path, "expected one of `slow`, `failing` and `down: true`")
    if fault.every is not None and (fault.lasts is None or fault.lasts >= fault.every):
        yield Finding((*path, "every"), "needs a `lasts` that is shorter")


def _one_of(entry: Section, path: Path, *names: str) -> Iterator[Finding]:
    if sum(getattr(entry, name) is not None for name in names) != 1:
        yield Finding(path, f"expected exactly one of {', '.join(names)}")
