"""Options of policies that do not fit the policies a pool can be picked by. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lb.config.membership import crowded
from lb.config.names import HASH_TABLES
from lb.config.problems import Finding, Path
from lb.config.schema import Schema
from lb.config.schema_policy import ContractEntry, PolicyEntry
from lb.config.usable_policies import with_inner
from lb.model import CUSTOM

_OWNERS = {
    "inner": ("geo",),
    **dict.fromkeys(("weights", "maxima", "metrics_path", "poll_interval"), ("adaptive",)),
    **dict.fromkeys(("class_", "options", "fallback", "budget", "build_budget"), (CUSTOM,)),
    "remember": ("sticky_round_robin",),
    "probe": ("prequal",),
    **dict.fromkeys(("table", "key", "bounded_load", "ring", "maglev", "contract"), tuple(HASH_TABLES)),
}
"""By option: the policies that read it, the one to name first."""

_ALL = frozenset(name for owners in _OWNERS.values() for name in owners)
_SECTIONS = ("ring", "maglev", "contract")


def policy_mistakes(schema: Schema) -> Iterator[Finding]:
    for id, pool in schema.pools.items():
        path: Path = ("pools", id, "policy")
        named = _named(schema, id)
        usable = {*named, *_ALL} if _may_be_asked_for(schema, id) else named
        yield from _without_use(pool.policy, usable, path)
        if usable.intersection(HASH_TABLES):
            yield from _contradictions(pool.policy, path)
            yield from _other_tables(pool.policy, usable, path)
        if "contract" in _tables(pool.policy, named):
            yield from _crowded(pool.policy.contract, len(pool.backends), path)


def _named(schema: Schema, id: str) -> set[str]:
    """The policies of a pool: its own, and those of routes to it."""
    routes = (route for route in schema.routes or [] if route.pool == id and route.policy)
    names = {schema.pools[id].policy.chosen, *(route.policy for route in routes)}
    return with_inner(names, schema.pools[id].policy.inner)


def _may_be_asked_for(schema: Schema, id: str) -> bool:
    """Whether a client may choose any policy by ``?algo=``."""
    return any(route.pool == id and route.algo_override for route in schema.routes or [])


def _without_use(entry: PolicyEntry, usable: set[str], path: Path) -> Iterator[Finding]:
    """The first option that nothing could ever read."""
    for option in sorted(entry.model_fields_set & _OWNERS.keys()):
        if not usable.intersection(_OWNERS[option]):
            owner = _OWNERS[option][0]
            option = option.rstrip("_")
            message = f"`{option}` is an option of the policy `{owner}`, this pool's is `{entry.chosen}`"
            yield Finding((*path, option), message, at_key=True, depends_on=((*path, "name"), ("routes",)))
            return


def _contradictions(entry: PolicyEntry, path: Path) -> Iterator[Finding]:
    """What a policy's name has already said."""
    said = HASH_TABLES.get(entry.name)
    if said and "table" in entry.model_fields_set:
        message = f"the policy `{entry.name}` has the table `{said}`: leave `table` out, or take `consistent_hash`"
        yield Finding((*path, "table"), message, at_key=True, depends_on=((*path, "name"),))
    if entry.name == "url_hash" and entry.key is not None and entry.key.kind != "url":
        message = "the policy `url_hash` has the key `url`: leave `key` out, or take `consistent_hash`"
        yield Finding((*path, "key"), message, at_key=True, depends_on=((*path, "name"),))


def _other_tables(entry: PolicyEntry, usable: set[str], path: Path) -> Iterator[Finding]:
    tables = _tables(entry, usable)
    for option in _SECTIONS:
        if option in entry.model_fields_set and option not in tables:
            message = f"`{option}` is about the table `{option}`, this pool's is `{min(tables)}`"
            yield Finding((*path, option), message, at_key=True, depends_on=((*path, "table"), (*path, "name")))


def _tables(entry: PolicyEntry, usable: set[str]) -> set[str]:
    return {HASH_TABLES[name] or entry.table for name in usable if name in HASH_TABLES}


def _crowded(entry: ContractEntry, backends: int, path: Path) -> Iterator[Finding]:
    message = crowded(backends, entry.virtual_servers, entry.slots)
    if message:
        yield Finding(path, message, at_key=True, depends_on=((*path, "contract"), (*path, "name")))
