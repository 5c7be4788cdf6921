"""What a configuration file may say. Defaults are those of ``lb.model``: one place to change them.

A validated ``Schema`` still has the file's shape; ``lb.config.build`` turns it into the model.
Needs pydantic: never imported by a worker.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from lb.config.fields import (
    DurationOrZero,
    Flag,
    Identifier,
    KeyPrefix,
    MachineName,
    Network,
    OneOrMany,
    RedisUrl,
    Shorthand,
    Text,
    Workers,
    words,
)
from lb.config.schema_geo import GeoEntry
from lb.config.schema_listeners import ListenerEntry
from lb.config.schema_pools import PoolEntry
from lb.config.schema_routes import RouteEntry
from lb.config.section import Section, key, section, setting
from lb.model import AccessLog, AmbiguousPaths, Config, State, StoreLoss


class AccessLogEntry(Section):
    path: Text | None = key(
        "A file, `-` for standard output, `off`; by default `access.log` in `state.dir`.",
        None,
        example="/var/log/lb/access.log",
    )
    format: Annotated[Literal["json", "combined"], words("json", "combined")] = setting(
        AccessLog, "format", "Shape of a line."
    )


class StateEntry(Section):
    dir: Text | None = key(
        "Directory for what outlives a restart; by default `/var/lib/lb`, or `~/.local/state/lb` where that cannot be written.",
        None,
        example="/var/lib/lb",
    )
    redis: RedisUrl = setting(
        State,
        "redis",
        "URL of the Redis that machines share (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`, `redis+cluster://`); empty: this machine is alone.",
        example="${LB_REDIS_URL:-}",
    )
    prefix: KeyPrefix = setting(State, "prefix", "Of every key in Redis; balancers with the same one act as one.")
    machine: MachineName | None = key(
        "This machine's name among them; by default its host name and a digest of `state.dir`.", None, example="lb-eu-1"
    )
    on_store_loss: Annotated[StoreLoss, words("open", "closed")] = setting(
        State,
        "on_store_loss",
        "Without Redis, limits that machines share are divided by the machines last known, or nothing is let through.",
    )


class Schema(Section):
    """An `lb` configuration file."""

    listeners: dict[Identifier, ListenerEntry] = key(
        "Bound addresses by name. `status` and `admin` are special, every other one takes traffic.", {}
    )
    pools: dict[Identifier, PoolEntry] = key("Backends by the name of their pool.", {})
    routes: list[RouteEntry] | None = key(
        "Which request goes where; the first that matches is taken. With one pool they may be left out.", None
    )
    workers: Workers = key("Processes on the data path; `auto` is one per core.", None, shown="auto")
    trusted_proxies: Annotated[list[Network], OneOrMany] = setting(
        Config, "trusted_proxies", "Addresses whose forwarded fields are believed.", example=["10.0.0.0/8"]
    )
    geo: GeoEntry | None = key(
        "Where clients are, for `geo`, `geo_aware` and `adaptive` (docs/geo.md); none: nobody asks.", None
    )
    state: StateEntry = section("Where state lives.", StateEntry)
    access_log: Annotated[AccessLogEntry, Shorthand("path")] = section(
        "One line per request; a path, or a mapping.", AccessLogEntry
    )
    graceful_timeout: DurationOrZero = setting(Config, "graceful_timeout_s", "How long requests may end on a stop.")
    unknown_methods: Flag = setting(
        Config, "unknown_methods", "Whether methods outside RFC 9110 and PATCH are passed on rather than answered 501."
    )
    ambiguous_paths: Annotated[AmbiguousPaths, words("forward", "reject")] = setting(
        Config,
        "ambiguous_paths",
        "Paths that a backend may read otherwise than the routes do: passed on, or answered 400.",
    )
    zone: Text = setting(
        Config,
        "zone",
        "Where this balancer is; pools with `zones: {prefer: true}` ask backends there first.",
        example="${LB_ZONE:-}",
    )
    traceparent: Flag = setting(
        Config,
        "traceparent",
        "Whether each request gets a W3C `traceparent`; `false` passes on what the client sent, unread.",
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a configuration file, for editors."""
    described = Schema.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": "lb configuration"}
