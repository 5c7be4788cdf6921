"""The ``policy`` of a pool in a configuration file, with the options of those policies that have some."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lb.config.fields import (
    Amount,
    BoundedLoad,
    ClassSpec,
    Duration,
    FieldName,
    HashKey,
    InnerPolicy,
    Percent,
    PolicyName,
    PositiveAmount,
    Prime,
    ProbePath,
    Rate,
    Remembered,
    RequestHash,
    ServerHash,
    count,
    words,
)
from lb.config.names import TABLES
from lb.config.section import Section, key, section, setting
from lb.model import (
    CUSTOM,
    AdaptiveOptions,
    ContractOptions,
    CustomPolicy,
    HashOptions,
    Pool,
    PrequalOptions,
    Probing,
    TableKind,
)


class WeightsEntry(Section):
    cpu: Amount = setting(AdaptiveOptions, "cpu", "Weight of the CPU term.")
    memory: Amount = setting(AdaptiveOptions, "memory", "Weight of the memory term.")
    inflight: Amount = setting(AdaptiveOptions, "inflight", "Weight of the inflight term.")
    latency: Amount = setting(AdaptiveOptions, "latency", "Weight of the latency term.")


class MaximaEntry(Section):
    cpu: PositiveAmount = setting(AdaptiveOptions, "max_cpu_percent", "CPU in percent that counts as full.")
    memory: PositiveAmount = setting(AdaptiveOptions, "max_memory_percent", "Memory in percent that counts as full.")
    inflight: PositiveAmount = setting(AdaptiveOptions, "max_inflight", "Requests that count as full.")
    latency: Duration = setting(AdaptiveOptions, "max_latency_s", "Latency that counts as full.")


class RingEntry(Section):
    points: Annotated[int, count(1, 4096)] = setting(
        HashOptions, "points", "Points of a backend of average weight; 262,144 on the whole ring at most."
    )


class MaglevEntry(Section):
    slots: Prime = setting(HashOptions, "maglev_size", "Slots of the table, a prime; 100 a backend or more.")


class ContractEntry(Section):
    slots: Annotated[int, count(1, 1_000_000)] = setting(ContractOptions, "slots", "M: slots of the ring.")
    virtual_servers: Annotated[int, count(1, 10_000)] = setting(
        ContractOptions, "virtual_servers", "K: virtual servers of each backend."
    )
    probing: Annotated[Probing, words("linear", "quadratic")] = setting(
        ContractOptions, "probing", "How a virtual server whose slot is taken finds another."
    )
    request_hash: RequestHash = key(
        "H(i): a name, or the coefficients of i², i and 1.", (1, 2, 17), shown="contract", example=[1, 2, 17]
    )
    server_hash: ServerHash = key(
        "Φ(i, j): a name, or the coefficients of i², i, j², j and 1.",
        (1, 0, 1, 2, 25),
        shown="contract",
        example=[1, 0, 1, 2, 25],
    )


class ProbeEntry(Section):
    path: ProbePath = setting(PrequalOptions, "path", "What a probe asks for.", example="/health")
    header: FieldName = setting(
        PrequalOptions,
        "header",
        "Of its answer: a number, the backend's requests in flight. Empty: `named_metrics.inflight` of `endpoint-load-metrics`.",
        example="X-Inflight",
    )
    timeout: Duration = setting(
        PrequalOptions, "timeout_s", "A backend that does not answer in that time is forgotten."
    )
    per_request: PositiveAmount = setting(PrequalOptions, "per_request", "Probes for each request.")
    max_rate: Rate = setting(
        PrequalOptions, "max_per_s", "Most probes of a worker; beyond that each is used more often."
    )
    size: Annotated[int, count(2, 256)] = setting(
        PrequalOptions, "pool_size", "Most answers that a worker keeps, one of a backend."
    )
    max_age: Duration = setting(PrequalOptions, "max_age_s", "Longest time that an answer counts.")
    removed: Amount = setting(
        PrequalOptions, "remove", "Answers thrown away with each request, the worst and the oldest in turns."
    )
    hot: Percent = key(
        "A backend with more requests in flight than this share of the answers is avoided.",
        100 * PrequalOptions().hot_quantile,
        shown=f"{100 * PrequalOptions().hot_quantile:g}%",
    )


class PolicyEntry(Section):
    @property
    def chosen(self) -> str:
        """The name that counts."""
        return CUSTOM if self.class_ is not None and "name" not in self.model_fields_set else self.name

    name: PolicyName = setting(Pool, "policy", "How a backend is chosen.")
    inner: InnerPolicy = setting(Pool, "geo_inner", "What decides within a region; `geo` only.")
    weights: WeightsEntry = section("Of the terms of the score; `adaptive` only.", WeightsEntry)
    maxima: MaximaEntry = section("At which a term of the score is full; `adaptive` only.", MaximaEntry)
    metrics_path: ProbePath = setting(
        AdaptiveOptions, "metrics_path", "Where a backend tells its load; `adaptive` only."
    )
    poll_interval: Duration = setting(AdaptiveOptions, "poll_interval_s", "How often it is asked; `adaptive` only.")
    table: Annotated[TableKind, words(*TABLES)] = setting(
        HashOptions, "table", "Which backend a key belongs to; `consistent_hash` and `url_hash` only."
    )
    class_: ClassSpec | None = Field(
        default=None,
        alias="class",
        description="A policy of your own: `module:Class`, found where Python finds modules or beside this file. "
        "With it `name` is `custom`, unless it is given.",
        examples=["policies:Fastest"],
    )
    options: dict[str, Any] = key("What your class is made with, as keyword arguments.", {}, example={"share": 0.1})
    fallback: PolicyName = setting(CustomPolicy, "fallback", "What picks where your class fails.")
    budget: Duration = setting(CustomPolicy, "pick_budget_s", "Processor time that a pick of your class may take.")
    build_budget: Duration = setting(CustomPolicy, "build_budget_s", "The same for its `build`.")
    key: HashKey | None = key(
        "What of a request is hashed: `client_ip`, `url`, `path`, `random`, `{header: NAME}`, `{cookie: NAME}`, `{query: NAME}`; "
        "by default `client_ip`, and `random` with the table `contract`. Hash policies only.",
        None,
        example={"header": "X-User"},
    )
    bounded_load: BoundedLoad = setting(
        HashOptions,
        "bounded_load",
        "Most that a backend may have in flight, as a multiple of the mean; hash policies only.",
        example=1.25,
    )
    remember: Remembered = setting(
        Pool,
        "remember_s",
        "How long a client that does not come is remembered, 12h at most; `sticky_round_robin` only.",
    )
    ring: RingEntry = section("Of the table `ring`.", RingEntry)
    maglev: MaglevEntry = section("Of the table `maglev`.", MaglevEntry)
    contract: ContractEntry = section("Of the table `contract`.", ContractEntry)
    probe: ProbeEntry = section("Of the policy `prequal`.", ProbeEntry)
