"""The ``pools`` part of a configuration file."""

from __future__ import annotations

from typing import Annotated, Literal

from lb.config.fields import (
    BackendUrl,
    BodyMatch,
    BoundedLoad,
    Duration,
    DurationOrZero,
    FieldName,
    Flag,
    HeaderText,
    HostName,
    HostPatternOrEmpty,
    Label,
    LimitOrNone,
    OneOrMany,
    Percent,
    Port,
    ProbePath,
    Rate,
    RetryCause,
    Shorthand,
    Statuses,
    Text,
    count,
    words,
)
from lb.config.schema_policy import PolicyEntry
from lb.config.section import Section, key, required, section, setting
from lb.config.sticky import StickyEntry
from lb.model import Backend, BackendTls, Health, Pool, PoolTimeouts, ProbeKind, ProbeScope, Retry, ZoneOptions


class BackendEntry(Section):
    url: BackendUrl = required(
        "`http://host[:port]`, `https://host[:port]` or `unix:/path`.", example="http://10.1.0.7:8080"
    )
    id: Label = key(
        "Its name in logs, metrics and commands; by default `host:port` or the socket's path.", "", example="eu-1"
    )
    weight: Annotated[int, count(1, 256)] = setting(
        Backend, "weight", "Its share of the requests, for policies that weigh."
    )
    region: Text = setting(Backend, "region", "Where it is, for `geo` (docs/geo.md), logs and metrics.", example="EU")
    zone: Text = setting(Backend, "zone", "Where it is within its region.", example="b")
    max_inflight: LimitOrNone = setting(Backend, "max_inflight", "Most requests it works on at a time.", example=100)
    backup: Flag = setting(Backend, "backup", "Gets requests only when no other backend is available.")
    priority: Annotated[int, count(0, 127)] = setting(
        Backend, "priority", "Its level: 0 first; the next gets requests when a level is out. `backup` is the last one."
    )


class HealthEntry(Section):
    type: Annotated[ProbeKind, words("tcp", "http", "https", "none")] = setting(Health, "type", "What a probe does.")
    path: ProbePath = setting(Health, "path", "What an HTTP probe asks for.", example="/health")
    host: HostPatternOrEmpty = setting(Health, "host", "Host of an HTTP probe; empty: the backend's own.")
    port: Port = setting(Health, "port", "Port to probe; none: the backend's own.", example=8081)
    status: Statuses = setting(
        Health,
        "status",
        "Statuses that an HTTP probe takes for healthy, as numbers, `2xx` or `200-299`; none: 200 to 399.",
    )
    interval: Duration = setting(Health, "interval_s", "Time between two probes of a backend.")
    timeout: Duration = setting(Health, "timeout_s", "Longest time a probe may take.")
    rise: Annotated[int, count(1, 100)] = setting(Health, "rise", "Good probes in a row until a backend is up again.")
    fall: Annotated[int, count(1, 100)] = setting(Health, "fall", "Bad probes in a row until a backend is down.")
    headers: dict[FieldName, HeaderText] = key(
        "Fields that an HTTP probe sends besides its own.", {}, example={"X-Probe": "lb"}
    )
    body: BodyMatch = key(
        "What must occur in the body of an HTTP probe's answer: a text (in the first 64 KiB) or `{regex: PATTERN}` (in the "
        "first 8); none: anything will do.",
        None,
        example="ready",
    )
    scope: Annotated[ProbeScope, words("machine", "cluster")] = setting(
        Health,
        "scope",
        "Who probes: each machine for itself (`machine`), or one at a time for all that share `state.redis` (`cluster`).",
    )


class PoolTimeoutsEntry(Section):
    connect: Duration = setting(PoolTimeouts, "connect_s", "For a connection to a backend.")
    first_byte: Duration = setting(PoolTimeouts, "first_byte_s", "From the request's end to the answer's first byte.")
    idle: Duration = setting(PoolTimeouts, "idle_s", "Longest silence inside an answer's body.")
    total: Duration = setting(PoolTimeouts, "total_s", "Until the final answer's head, retries included.")
    queue: DurationOrZero = setting(PoolTimeouts, "queue_s", "Longest wait for a backend that has room.")
    tunnel: Duration = setting(PoolTimeouts, "tunnel_s", "Longest silence of a tunnel such as a WebSocket.")


class RetryEntry(Section):
    attempts: Annotated[int, count(1, 100)] = setting(
        Retry, "attempts", "Attempts per request, the first one included."
    )
    on: Annotated[list[RetryCause], OneOrMany] = setting(
        Retry,
        "on",
        "What is tried again, where it is safe. Refused connections always are.",
        example=["connect", "reset", 503],
    )
    budget: Percent = setting(Retry, "budget_percent", "Most retries, as a share of the requests.")
    budget_min: Rate = setting(Retry, "budget_min_per_s", "Retries that are allowed whatever the share.")
    backoff: DurationOrZero = setting(
        Retry,
        "backoff_s",
        "Longest wait before the first retry, at random from nothing; it doubles with each. Refused connections are tried "
        "elsewhere at once.",
    )
    backoff_max: DurationOrZero = setting(Retry, "backoff_max_s", "Longest wait before any retry.")


class BackendTlsEntry(Section):
    verify: Flag = setting(BackendTls, "verify", "Whether certificates of `https` backends are verified.")
    ca: Text = setting(
        BackendTls, "ca", "PEM file of the authorities to trust; empty: the system's.", example="/etc/lb/ca.pem"
    )
    server_name: HostName = setting(BackendTls, "server_name", "Name to ask for and to verify; empty: the URL's host.")


class ZonesEntry(Section):
    prefer: Flag = setting(ZoneOptions, "prefer", "Whether backends in the balancer's own `zone` go first.")
    min_backends: Annotated[int, count(1, 10_000)] = setting(
        ZoneOptions, "min_backends", "With fewer healthy backends zones do not count."
    )
    overprovisioning: BoundedLoad = setting(
        ZoneOptions,
        "overprovisioning",
        "What is healthy of the own zone bears so many times its share; what is beyond that goes to the others.",
    )


class OutlierEntry(Section):
    errors: Percent = key(
        "By how much more of its requests must fail than of the others' together until a backend gets less of them; `100%`: "
        "never.",
        5.0,
        shown="5%",
    )


class QueueEntry(Section):
    size: Annotated[int, count(0, 1_000_000)] = setting(
        Pool, "queue_size", "Most requests that wait in one worker for a backend with room; 0: nobody waits."
    )


class PoolEntry(Section):
    backends: list[Annotated[BackendEntry, Shorthand("url")]] = key(
        "Its backends: a URL each, or a mapping.", (), example=["http://127.0.0.1:5001"]
    )
    policy: Annotated[PolicyEntry, Shorthand("name")] = section(
        "A policy's name, or a mapping with options.", PolicyEntry
    )
    health: HealthEntry = section("Active probes.", HealthEntry)
    outlier: OutlierEntry = section("Who gets less because its requests fail.", OutlierEntry)
    slow_start: DurationOrZero = setting(
        Pool,
        "slow_start_s",
        "How long a backend that has come up takes to get its full share of the requests.",
        example="30s",
    )
    timeouts: PoolTimeoutsEntry = section("What a backend may take its time for.", PoolTimeoutsEntry)
    queue: QueueEntry = section("Who waits while every backend is at its `max_inflight`.", QueueEntry)
    sticky: Annotated[StickyEntry, Shorthand("cookie")] | None = key(
        "Sessions that stay on their backend: a cookie's name, or a mapping.", None, example="lb_backend"
    )
    overprovisioning: BoundedLoad = setting(
        Pool,
        "overprovisioning",
        "Of `priority` levels: what is healthy of one bears so many times its share, the rest spills over to the next; "
        "`none`: the next level gets requests only when a level has nobody left.",
        example=1.4,
    )
    zones: ZonesEntry = section("Whether backends near this balancer go first.", ZonesEntry)
    subset: LimitOrNone = setting(
        Pool, "subset", "How many of the backends this balancer talks to; each of many balancers to others.", example=20
    )
    retry: RetryEntry = section("When a request is tried again on another backend.", RetryEntry)
    tls: BackendTlsEntry = section("How `https` backends are verified.", BackendTlsEntry)
    host_header: Annotated[Literal["preserve", "backend"], words("preserve", "backend")] = setting(
        Pool, "host_header", "Host that backends see: the client's, or their own."
    )
    forward_load_reports: Flag = setting(
        Pool,
        "forward_load_reports",
        "Whether clients get the field `endpoint-load-metrics` of backends; it is for balancers.",
    )
    max_idle_per_worker: Annotated[int, count(0, 100_000)] = setting(
        Pool, "max_idle_per_worker", "Idle connections kept per backend and worker."
    )
