"""From a scenario file to a ``Scenario``, or every mistake in it with its line. Reads files, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from lb.config.build import Machine, build, near_regions
from lb.config.places import file_path
from lb.config.problems import LocatedConfigError
from lb.config.schema import Schema
from lb.config.schema_policy import PolicyEntry
from lb.config.schema_pools import PoolEntry
from lb.config.source import Document, read_document
from lb.config.validate import validate
from lb.model import Backend, Pool
from lb.simulate.consistency import inconsistencies
from lb.simulate.faults import Antagonists, Fault
from lb.simulate.places import Away, Balancers, ClientRegions
from lb.simulate.recorded import read_log
from lb.simulate.scenario import Behaviour, Clients, Contender, Poisson, Recorded, Scenario
from lb.simulate.schema import BalancersEntry, FaultEntry, GeoEntry, GroupEntry, ScenarioEntry, ServiceEntry
from lb.simulate.service import Bimodal, Constant, Exponential, Lognormal, Pareto, Service
from lb.structs import replace

POOL = "simulated"
PATIENCE_S = 10.0
"""For a user's own policy: a budget that a busy machine could exceed would make results differ."""


def load(path: str, environ: Mapping[str, str], *, policies: Sequence[str] = ()) -> Scenario:
    """LocatedConfigError with every mistake in the file. ``policies``: instead of the file's, if any."""
    document = read_document(path, environ, least="backends")
    if policies and isinstance(document.data, dict):
        document.data["policies"] = list(policies)
    validated = validate(document.data, ScenarioEntry)
    entry, findings = validated.schema, document.findings + validated.findings
    if entry is not None and not findings:
        findings = list(inconsistencies(entry, os.path.dirname(os.path.abspath(document.file))))
    if findings or entry is None:
        raise LocatedConfigError(document.problem(finding) for finding in findings)
    return _scenario(entry, document, os.path.basename(path).removesuffix(".yaml"))


def _scenario(entry: ScenarioEntry, document: Document, name: str) -> Scenario:
    groups = [
        (f"{id}-{number}", id, group) for id, group in entry.backends.items() for number in range(1, group.count + 1)
    ]
    behaviour_of = {id: _behaviour(id, group) for id, group in entry.backends.items()}
    backends = tuple(_backend(id, group) for id, _, group in groups)
    behaviours = tuple(behaviour_of[group_id] for _, group_id, _ in groups)
    return Scenario(
        name=name,
        about=entry.about,
        seed=entry.seed,
        backends=backends,
        behaviours=behaviours,
        contenders=_contenders(entry, document, backends),
        arrivals=_arrivals(entry, document, behaviours),
        duration_s=entry.duration,
        requests=entry.requests,
        clients=Clients(entry.clients.count, entry.clients.skew, entry.clients.key, entry.clients.sticky / 100),
        balancers=_balancers(entry.balancers),
        workers=entry.workers,
        sync_s=entry.sync,
        regions=_regions(entry.geo),
        away=Away(entry.away.region, entry.away.zone),
    )


def _backend(id: str, group: GroupEntry) -> Backend:
    return Backend(
        id=id,
        host=f"{id}.invalid",
        port=80,
        weight=group.weight,
        region=group.region,
        zone=group.zone,
        max_inflight=group.max_inflight,
        backup=group.backup,
        priority=group.priority,
    )


def _balancers(entry: BalancersEntry) -> Balancers:
    return Balancers(entry.count, tuple(entry.zones), tuple(entry.regions), entry.numbered)


def _regions(entry: GeoEntry | None) -> ClientRegions | None:
    """By the configuration's own rule of what is near."""
    if entry is None:
        return None
    return ClientRegions(
        {region: percent / 100 for region, percent in entry.clients.items()},
        near_regions(entry.clients, entry.nearest),
    )


def _contenders(entry: ScenarioEntry, document: Document, backends: tuple[Backend, ...]) -> tuple[Contender, ...]:
    labels = [label_of(one) for one in document.data["policies"]]
    pools = [replace(_pool(entry, policy, document.file), backends=backends) for policy in entry.policies]
    return tuple(Contender(label, pool) for label, pool in zip(labels, pools, strict=True))


def label_of(written: Any) -> str:
    """A policy as people call it: its name, and the options if there are any."""
    if not isinstance(written, dict):
        return str(written)
    name = written.get("name") or written.get("class", "")
    options = ", ".join(_option(key, value) for key, value in written.items() if value is not name)
    return f"{name} ({options})" if options else str(name)


def _option(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(_option(f"{key}.{inner}", one) for inner, one in value.items())
    return f"{key} {value}"


def _pool(entry: ScenarioEntry, policy: PolicyEntry, file: str) -> Pool:
    """By the configuration's own builder, so that a policy's options mean here what they mean there."""
    pool = PoolEntry(
        policy=policy,
        retry=entry.retry,
        timeouts=entry.timeouts,
        health=entry.health,
        overprovisioning=entry.overprovisioning,
        zones=entry.zones,
        subset=entry.subset,
    )
    machine = Machine(source=os.path.abspath(file), cores=1, default_state_dir="/", state_dir=None)
    built = build(Schema(pools={POOL: pool}), machine).pools[0]
    custom = built.custom and replace(built.custom, pick_budget_s=PATIENCE_S, build_budget_s=PATIENCE_S)
    return replace(built, custom=custom)


# --- backends


def _behaviour(id: str, group: GroupEntry) -> Behaviour:
    antagonists = group.antagonists
    return Behaviour(
        group=id,
        service=_service(group.service),
        slots=group.slots,
        queue=group.queue,
        faults=tuple(_fault(fault) for fault in group.faults),
        antagonists=Antagonists(antagonists.slow, antagonists.lasts, antagonists.every) if antagonists else None,
    )


def _fault(entry: FaultEntry) -> Fault:
    return Fault(
        at_s=entry.at,
        lasts_s=entry.lasts or inf,
        every_s=entry.every or inf,
        slow=entry.slow or 1.0,
        failing=(entry.failing or 0.0) / 100,
        is_down=entry.down,
    )


def _service(entry: ServiceEntry) -> Service:
    if entry.constant is not None:
        return Constant(entry.constant)
    if entry.exponential is not None:
        return Exponential(entry.exponential)
    if entry.lognormal is not None:
        return Lognormal(entry.lognormal.median, entry.lognormal.sigma)
    if entry.pareto is not None:
        return Pareto(entry.pareto.least, entry.pareto.alpha)
    assert entry.bimodal is not None
    return Bimodal(entry.bimodal.usual, entry.bimodal.rare, entry.bimodal.share / 100)


# --- requests


def _arrivals(entry: ScenarioEntry, document: Document, behaviours: tuple[Behaviour, ...]) -> Poisson | Recorded:
    arrivals = entry.arrivals
    if arrivals.rate is not None:
        return Poisson(arrivals.rate)
    if arrivals.load is not None:
        return Poisson(arrivals.load / 100 * sum(behaviour.capacity_per_s for behaviour in behaviours))
    assert arrivals.log is not None
    return read_log(file_path(os.path.dirname(os.path.abspath(document.file)), arrivals.log), arrivals.speed)
