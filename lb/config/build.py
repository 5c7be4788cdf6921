"""A validated file -> the frozen model. Pure: what the machine decides arrives in ``Machine``.

Nothing is judged here; ``lb.config.consistency`` has already said that it fits together.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lb import model
from lb.config.addresses import bind_text
from lb.config.build_policy import adaptive_options, hash_options, prequal_options
from lb.config.custom_policy import custom_policy
from lb.config.places import file_path
from lb.config.route_checks import Condition
from lb.config.schema import AccessLogEntry, Schema, StateEntry
from lb.config.schema_geo import GeoEntry
from lb.config.schema_listeners import DEFAULT_BINDS, CertificateEntry, ListenerEntry
from lb.config.schema_pools import BackendEntry, HealthEntry, PoolEntry, RetryEntry
from lb.config.schema_routes import MAX_BURST, RateLimitEntry, RedirectEntry, RespondEntry, RouteEntry
from lb.config.section import Section
from lb.config.sticky import sticky_of
from lb.geo.countries import DEFAULT_NEAREST
from lb.geo.region_map import by_nearness

DEFAULT_ROUTE = "default"
_KINDS: Mapping[str, model.ListenerKind] = {"status": "status", "admin": "admin"}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a configuration leaves to the machine it runs on."""

    source: str
    """The file's absolute path; paths in it are relative to its directory."""
    cores: int
    default_state_dir: str
    state_dir: str | None = None
    """Given by the caller: goes before the file's."""
    host: str = "localhost"

    @property
    def folder(self) -> str:
        return os.path.dirname(self.source)


def build(schema: Schema, machine: Machine) -> model.Config:
    state_dir = _state_dir(schema, machine)
    return model.Config(
        source=machine.source,
        listeners=tuple(_listener(machine, id, entry) for id, entry in listener_entries(schema).items()),
        pools=tuple(_pool(machine, id, entry) for id, entry in schema.pools.items()),
        routes=build_routes(schema),
        state=_state(machine, schema.state, state_dir),
        workers=schema.workers or machine.cores,
        trusted_proxies=tuple(schema.trusted_proxies),
        access_log=_access_log(machine, schema.access_log, state_dir),
        graceful_timeout_s=schema.graceful_timeout,
        unknown_methods=schema.unknown_methods,
        ambiguous_paths=schema.ambiguous_paths,
        geo=_geo(machine, schema.geo),
        traceparent=schema.traceparent,
        zone=schema.zone,
    )


def _geo(machine: Machine, entry: GeoEntry | None) -> model.Geo | None:
    if entry is None:
        return None
    regions = {region: tuple(places) for region, places in entry.regions.items()}
    nearest = near_regions(regions, entry.nearest)
    return model.Geo(file_path(machine.folder, entry.database), entry.default_region, regions, nearest)


def near_regions(regions: Collection[str], said: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """For each of ``regions`` all of them, nearest first: as ``said``, else as is usual."""
    usual = {name: [other for other in others if other in regions] for name, others in DEFAULT_NEAREST.items()}
    return by_nearness(regions, {**usual, **said})


def _state(machine: Machine, entry: StateEntry, folder: str) -> model.State:
    name = entry.machine or _machine_name(machine.host, folder)
    return model.State(folder, entry.redis, entry.prefix, name, entry.on_store_loss)


def _machine_name(host: str, state_dir: str) -> str:
    """Two balancers on one host have different directories, and are different machines to the others."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', host)[:48]}-{hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:8]}"


def _state_dir(schema: Schema, machine: Machine) -> str:
    if machine.state_dir or not schema.state.dir:
        return machine.state_dir or machine.default_state_dir
    return file_path(machine.folder, schema.state.dir)


def listener_entries(schema: Schema) -> dict[str, ListenerEntry]:
    """The listeners of a file and those that exist without being named."""
    named = schema.listeners
    has_traffic = any(listener_kind(id) == "traffic" for id in named)
    unnamed = {id: ListenerEntry() for id in DEFAULT_BINDS if id not in named}
    if has_traffic:
        unnamed.pop("traffic", None)
    return {**unnamed, **named}


def listener_kind(id: str) -> model.ListenerKind:
    return _KINDS.get(id, "traffic")


def listener_binds(id: str, entry: ListenerEntry) -> tuple[str, ...]:
    """Its addresses, each in its one spelling. Empty for a listener of one's own without any."""
    if entry.bind is None:
        return DEFAULT_BINDS.get(id, ())
    return tuple(bind_text(address) for address in entry.bind)


def backend_id(entry: BackendEntry) -> str:
    """``host:port`` or the socket's path where the file gives no other name."""
    if entry.id or entry.url.unix_path:
        return entry.id or entry.url.unix_path
    return bind_text(entry.url)


def route_ids(routes: Iterable[RouteEntry]) -> list[str]:
    """Each route's own name, or one made of scheme, host and path, so that it survives a new order."""
    taken = {route.id for route in routes}
    return [route.id or _free(_described(route), taken) for route in routes]


def _described(route: RouteEntry) -> str:
    host = route.host[0] if route.host else ""
    if route.scheme:
        return f"{route.scheme}://{host or '*'}{route.exact or route.path}"
    return f"{host}{route.exact or route.path}" or DEFAULT_ROUTE


def _free(name: str, taken: set[str]) -> str:
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    taken.add(found)
    return found


def _listener(machine: Machine, id: str, entry: ListenerEntry) -> model.Listener:
    return model.Listener(
        id=id,
        kind=listener_kind(id),
        bind=listener_binds(id, entry),
        certificates=tuple(_certificate(machine, certificate) for certificate in entry.tls),
        proxy_protocol=entry.proxy_protocol,
        timeouts=model.ListenerTimeouts(**_seconds(entry.timeouts)),
        body_limit_bytes=entry.body_limit,
        max_connections_per_client=entry.max_connections_per_client,
        token=entry.token,
    )


def _certificate(machine: Machine, entry: CertificateEntry) -> model.Certificate:
    return model.Certificate(
        file_path(machine.folder, entry.cert), file_path(machine.folder, entry.key), tuple(entry.names)
    )


def _pool(machine: Machine, id: str, entry: PoolEntry) -> model.Pool:
    return model.Pool(
        id=id,
        backends=tuple(backend_from(backend) for backend in entry.backends),
        policy=entry.policy.chosen,
        adaptive=adaptive_options(entry.policy),
        prequal=prequal_options(entry.policy),
        hash=hash_options(entry.policy),
        health=_health(entry.health),
        timeouts=model.PoolTimeouts(**_seconds(entry.timeouts)),
        retry=_retry(entry.retry),
        host_header=entry.host_header,
        tls=model.BackendTls(
            entry.tls.verify, entry.tls.ca and file_path(machine.folder, entry.tls.ca), entry.tls.server_name
        ),
        max_idle_per_worker=entry.max_idle_per_worker,
        queue_size=entry.queue.size,
        sticky=sticky_of(entry.sticky),
        custom=custom_policy(entry.policy, machine.folder),
        remember_s=entry.policy.remember,
        geo_inner=entry.policy.inner,
        forward_load_reports=entry.forward_load_reports,
        slow_start_s=entry.slow_start,
        outlier_errors=entry.outlier.errors / 100.0,
        overprovisioning=entry.overprovisioning,
        zones=model.ZoneOptions(entry.zones.prefer, entry.zones.min_backends, entry.zones.overprovisioning or 100.0),
        subset=entry.subset,
    )


def backend_from(entry: BackendEntry) -> model.Backend:
    return model.Backend(
        id=backend_id(entry),
        scheme="https" if entry.url.scheme == "https" else "http",
        host=entry.url.host,
        port=entry.url.port,
        unix_path=entry.url.unix_path,
        weight=entry.weight,
        region=entry.region,
        zone=entry.zone,
        max_inflight=entry.max_inflight,
        backup=entry.backup,
        priority=entry.priority,
    )


def _health(entry: HealthEntry) -> model.Health:
    return model.Health(
        type=entry.type,
        path=entry.path,
        host=entry.host,
        port=entry.port,
        status=tuple(entry.status),
        interval_s=entry.interval,
        timeout_s=entry.timeout,
        rise=entry.rise,
        fall=entry.fall,
        headers=tuple(entry.headers.items()),
        body=entry.body.value or "" if entry.body is not None else "",
        body_is_regex=entry.body is not None and entry.body.is_regex,
        scope=entry.scope,
    )


def _retry(entry: RetryEntry) -> model.Retry:
    return model.Retry(
        entry.attempts, tuple(entry.on), entry.budget, entry.budget_min, entry.backoff, entry.backoff_max
    )


def _seconds(entry: Section) -> dict[str, Any]:
    """Of a section of durations only: the model's names end in their unit."""
    return {f"{name}_s": getattr(entry, name) for name in type(entry).model_fields}


def build_routes(schema: Schema) -> tuple[model.Route, ...]:
    """Those of the file; with none, everything goes to the only pool."""
    if schema.routes is None:
        return tuple(model.Route(DEFAULT_ROUTE, "pool", pool=id) for id in schema.pools)
    return tuple(_route(id, entry) for id, entry in zip(route_ids(schema.routes), schema.routes, strict=True))


def _route(id: str, entry: RouteEntry) -> model.Route:
    return model.Route(
        id=id,
        action=_action(entry),
        hosts=tuple(entry.host),
        path=entry.exact or entry.path,
        exact=bool(entry.exact),
        methods=tuple(entry.methods),
        headers=tuple(_match(name.lower(), wanted) for name, wanted in entry.headers.items()),
        query=tuple(_match(name, wanted) for name, wanted in entry.query.items()),
        pool=entry.pool or "",
        respond=_respond(entry.respond),
        redirect=_redirect(entry.redirect),
        policy=entry.policy,
        algo_override=entry.algo_override,
        upgrades=tuple(entry.upgrades),
        body_limit_bytes=entry.body_limit,
        error_style=entry.error_style,
        scheme=entry.scheme,
        rate_limit=_rate_limit(entry.rate_limit),
    )


def _rate_limit(entry: RateLimitEntry | None) -> model.RateLimit | None:
    """Without a burst the number in the rate may come at once, as where a limit counts so many in a window."""
    if entry is None:
        return None
    burst = entry.burst or min(max(1, int(entry.rate.number)), MAX_BURST)
    return model.RateLimit(entry.rate.per_s, burst)


def _respond(entry: RespondEntry | None) -> model.Respond | None:
    return model.Respond(entry.status, entry.body, entry.content_type) if entry else None


def _redirect(entry: RedirectEntry | None) -> model.Redirect | None:
    return model.Redirect(entry.to, int(entry.status)) if entry else None


def _action(entry: RouteEntry) -> model.ActionKind:
    if entry.respond:
        return "respond"
    if entry.redirect:
        return "redirect"
    return entry.action or "pool"


def _match(name: str, wanted: Condition) -> model.FieldMatch:
    return model.FieldMatch(name, wanted.value, wanted.is_regex)


def _access_log(machine: Machine, entry: AccessLogEntry, state_dir: str) -> model.AccessLog:
    if entry.path is None:
        return model.AccessLog(os.path.join(state_dir, "access.log"), entry.format)
    if entry.path in ("off", "-", ""):
        return model.AccessLog("" if entry.path == "off" else entry.path, entry.format)
    return model.AccessLog(file_path(machine.folder, entry.path), entry.format)
