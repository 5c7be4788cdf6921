"""A validated ``policy`` of a pool -> the options in the frozen model. Pure; judges nothing."""

from __future__ import annotations

from lb import model
from lb.config.schema_policy import ContractEntry, PolicyEntry


def adaptive_options(entry: PolicyEntry) -> model.AdaptiveOptions:
    return model.AdaptiveOptions(
        cpu=entry.weights.cpu,
        memory=entry.weights.memory,
        inflight=entry.weights.inflight,
        latency=entry.weights.latency,
        max_cpu_percent=entry.maxima.cpu,
        max_memory_percent=entry.maxima.memory,
        max_inflight=entry.maxima.inflight,
        max_latency_s=entry.maxima.latency,
        metrics_path=entry.metrics_path,
        poll_interval_s=entry.poll_interval,
    )


def prequal_options(entry: PolicyEntry) -> model.PrequalOptions:
    probe = entry.probe
    return model.PrequalOptions(
        path=probe.path,
        header=probe.header,
        timeout_s=probe.timeout,
        per_request=probe.per_request,
        max_per_s=probe.max_rate,
        pool_size=probe.size,
        max_age_s=probe.max_age,
        remove=probe.removed,
        hot_quantile=probe.hot / 100,
    )


def hash_options(entry: PolicyEntry) -> model.HashOptions:
    return model.HashOptions(
        table=entry.table,
        key=entry.key,
        bounded_load=entry.bounded_load,
        points=entry.ring.points,
        maglev_size=entry.maglev.slots,
        contract=_contract(entry.contract),
    )


def _contract(entry: ContractEntry) -> model.ContractOptions:
    return model.ContractOptions(
        slots=entry.slots,
        virtual_servers=entry.virtual_servers,
        probing=entry.probing,
        request_hash=entry.request_hash,
        server_hash=entry.server_hash,
    )
