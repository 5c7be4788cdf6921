"""What operators changed of pools while running: entries by ``POOL/BACKEND``, laid over the configuration. Pure.

Two layers. The *cluster's* is the same on all machines that share a store, each entry with the number of the change that
made it. The *machine's own* was made here for this machine only, or while the store was away; it goes before, until the
cluster has a later entry for the same backend. Entries are replaced, never taken out of the cluster's layer: one that is
missing from the store was lost there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lb.config import checks
from lb.config.membership import BACKEND_KEYS, WEIGHTS, backend_of, keys_of, misfit
from lb.model import Backend, BackendState, Config, Pool
from lb.structs import Struct, field, replace

STATES = ("ready", "drain", "disabled")
MAX_ENTRY_BYTES = 16 << 10
_MOST_SHOWN, _SHOWN_CHARACTERS = 20, 100
"""Of the names of entries that cannot be read."""
_MAX_GENERATION = 1 << 53
"""What a number of Lua or JSON still counts in steps of one."""
_known_state = checks.one_of(*STATES)
_known_weight = checks.count(*WEIGHTS)


class Entry(Struct, frozen=True):
    """What is None or False is as the configuration has it. ``generation``: in the cluster's layer the number of this
    change; in a machine's own the newest of the cluster's that was known when it was made."""

    state: BackendState | None = None
    weight: int | None = None
    added: Backend | None = None
    is_removed: bool = False
    by: str = ""
    generation: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether a backend of the configuration is as it is there."""
        return self.state in (None, "ready") and self.weight is None and self.added is None and not self.is_removed


class Overlay(Struct, frozen=True):
    """``store``: where the cluster's layer comes from; ``corrupt``: names whose entry there cannot be read."""

    generation: int = 0
    store: str = ""
    cluster: Mapping[str, Entry] = field(default_factory=dict)
    machine: Mapping[str, Entry] = field(default_factory=dict)
    corrupt: tuple[str, ...] = ()

    def entry(self, name: str) -> Entry:
        """What counts here."""
        return self.machine.get(name) or self.cluster.get(name) or Entry()

    def effective(self) -> dict[str, Entry]:
        return {**self.cluster, **self.machine}


# -- as text ------------------------------------------------------------------------------------


def encode_entry(entry: Entry) -> str:
    """JSON, the generation first: a script of the store's reads it."""
    said: dict[str, Any] = {"generation": entry.generation, "by": entry.by}
    if entry.state is not None:
        said["state"] = entry.state
    if entry.weight is not None:
        said["weight"] = entry.weight
    if entry.added is not None:
        said["backend"] = keys_of(entry.added)
    if entry.is_removed:
        said["removed"] = True
    return json.dumps(said)


def decode_entry(text: str) -> Entry:
    """ValueError for whatever is none: other machines' data is checked as a person's is. Keys that a later version may
    have added are passed over."""
    if len(text) > MAX_ENTRY_BYTES:
        raise ValueError("too long")
    return _entry(_json(text))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _entry(said: Any) -> Entry:
    if not isinstance(said, dict):
        raise ValueError("not an object")
    state, weight, backend = said.get("state"), said.get("weight"), said.get("backend")
    return Entry(
        state=None if state is None else _known_state(state),  # type: ignore[arg-type]
        weight=None if weight is None else _known_weight(weight),
        added=None if backend is None else _backend(backend),
        is_removed=checks.flag(said.get("removed", False)),
        by=checks.text_of(said.get("by", ""))[:200],
        generation=generation_of(said.get("generation", 0)),
    )


def _backend(said: Any) -> Backend:
    if not isinstance(said, dict):
        raise ValueError("backend: not an object")
    return backend_of({key: value for key, value in said.items() if key in BACKEND_KEYS})


def generation_of(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_GENERATION:
        raise ValueError("not a generation")
    return value


def decode_entries(said: Mapping[str, str]) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """What can be read, and the names of what cannot."""
    found: dict[str, Entry] = {}
    corrupt = []
    for name, text in said.items():
        try:
            checked_name(name)
            found[name] = decode_entry(text)
        except ValueError:
            corrupt.append(name)
    shown = sorted(name[:_SHOWN_CHARACTERS] for name in corrupt)
    more = (f"... and {len(shown) - _MOST_SHOWN} more",) if len(shown) > _MOST_SHOWN else ()
    return found, (*shown[:_MOST_SHOWN], *more)


def checked_name(name: str) -> str:
    """``POOL/BACKEND``; ValueError if it is none."""
    pool, slash, backend = name.partition("/")
    if not slash:
        raise ValueError("not POOL/BACKEND")
    checks.identifier(pool)
    checks.label(backend)
    return name


def encode(overlay: Overlay) -> bytes:
    layers = {
        name: {key: json.loads(encode_entry(entry)) for key, entry in layer.items()}
        for name, layer in (("cluster", overlay.cluster), ("machine", overlay.machine))
    }
    said = {"schema": 1, "generation": overlay.generation, "store": overlay.store, "corrupt": overlay.corrupt, **layers}
    return json.dumps(said, indent=1).encode()


def decode(raw: bytes) -> Overlay:
    """ValueError if it is damaged anywhere: there is a copy."""
    said = _json(raw.decode())
    try:
        if said["schema"] != 1:
            raise ValueError(f"has schema {said['schema']}, this version of lb reads schema 1")
        corrupt = tuple(map(str, said["corrupt"]))
        cluster, machine = _layer(said["cluster"]), _layer(said["machine"])
        return Overlay(generation_of(said["generation"]), str(said["store"]), cluster, machine, corrupt)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"damaged: {type(error).__name__} {error}") from error


def _layer(said: Mapping[str, Any]) -> dict[str, Entry]:
    return {checked_name(name): _entry(entry) for name, entry in said.items()}


# -- over a configuration -----------------------------------------------------------------------


def apply(config: Config, overlay: Overlay) -> tuple[Config, tuple[str, ...]]:
    """What is in force, and what of the changes does not fit ``config``: left out, and said."""
    problems = [
        f"the operators' entry {name[:100]!r} in the store cannot be read: it is left out" for name in overlay.corrupt
    ]
    by_pool: dict[str, list[tuple[str, Entry]]] = {}
    for name, entry in sorted(overlay.effective().items(), key=_age):
        pool_id, _, backend_id = name.partition("/")
        by_pool.setdefault(pool_id, []).append((backend_id, entry))
    if not by_pool:
        return config, tuple(problems)
    pools = []
    for pool in config.pools:
        changed, said = _applied(config, pool, by_pool.pop(pool.id, ()))
        pools.append(changed)
        problems += said
    for pool_id, entries in by_pool.items():
        problems += [
            _unfit(pool_id, id, "there is no such pool")
            for id, entry in entries
            if not (entry.is_plain or entry.is_removed)
        ]
    return replace(config, pools=tuple(pools)), tuple(problems)


def _age(named: tuple[str, Entry]) -> tuple[int, str]:
    """The same order on all machines, because order counts for some policies."""
    name, entry = named
    return entry.generation, name


def _applied(config: Config, pool: Pool, entries: Iterable[tuple[str, Entry]]) -> tuple[Pool, list[str]]:
    members = {backend.id: backend for backend in pool.backends}
    problems = []
    entries = list(entries)
    for id, entry in entries:  # those that leave first: they make room
        if entry.is_removed:
            members.pop(id, None)
    for id, entry in entries:
        if entry.is_removed:
            continue
        if entry.added is not None:
            others = tuple(one for one in members.values() if one.id != id)
            problem = misfit(config, replace(pool, backends=others), entry.added)
            if problem:
                problems.append(_unfit(pool.id, id, problem))
                continue
            members[id] = entry.added
        if id in members:
            members[id] = _with(members[id], entry)
        elif not entry.is_plain:
            problems.append(_unfit(pool.id, id, "there is no such backend"))
    if not members:
        return pool, [*problems, f"operators removed every backend of pool {pool.id}: they are kept"]
    return replace(pool, backends=tuple(members.values())), problems


def _with(backend: Backend, entry: Entry) -> Backend:
    weight = backend.weight if entry.weight is None else entry.weight
    return replace(backend, state=entry.state or backend.state, weight=weight)


def _unfit(pool: str, backend: str, why: str) -> str:
    return f"the operators' change of {pool}/{backend} is left out: {why}"


# -- changes ------------------------------------------------------------------------------------


class Refused(Exception):
    """A change that cannot be. ``reason`` is for programs; the text for people."""

    def __init__(self, status: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Change:
    """One operator's wish. ``set``: ``state`` and ``weight``, as far as they are not None."""

    kind: Literal["set", "add", "remove"]
    pool: str
    backend: str
    state: BackendState | None = None
    weight: int | None = None
    added: Backend | None = None

    @property
    def name(self) -> str:
        return f"{self.pool}/{self.backend}"


def decide(config: Config, before: Entry, change: Change) -> Entry:
    """The entry that ``change`` makes of ``before``, with ``config`` in force. Refused."""
    pool = find_pool(config, change.pool)
    is_there = any(backend.id == change.backend for backend in pool.backends)
    if change.kind == "add":
        return _add(config, pool, change, is_there=is_there)
    if change.kind == "remove" and not is_there and not (before.is_plain or before.is_removed):
        return Entry()  # of a backend that the configuration has no more: forget it
    if not is_there:
        raise _no_backend(pool, change.backend)
    if change.kind == "remove":
        if len(pool.backends) == 1:
            text = f"{change.backend} is the last backend of pool {pool.id}: add another one first"
            raise Refused(409, "last_backend", text)
        return Entry(is_removed=True)
    state = before.state if change.state is None else change.state
    weight = before.weight if change.weight is None else change.weight
    return replace(before, state=state, weight=weight, is_removed=False)


def unserved(config: Config) -> list[str]:
    """A sentence for each pool of which no backend takes new work, by operators' or the configuration's will."""
    idle = (pool.id for pool in config.pools if all(backend.state != "ready" for backend in pool.backends))
    return [f"pool {id} has no backend left that takes requests: they are answered 503" for id in idle]


def find_pool(config: Config, id: str) -> Pool:
    """Refused if there is none."""
    found = next((pool for pool in config.pools if pool.id == id), None)
    if found is None:
        near = checks.did_you_mean(id, [pool.id for pool in config.pools])
        raise Refused(404, "pool_not_found", f"there is no pool {checks.described(id)}{near}")
    return found


def find_backend(pool: Pool, id: str) -> Backend:
    """Refused if there is none."""
    found = next((backend for backend in pool.backends if backend.id == id), None)
    if found is None:
        raise _no_backend(pool, id)
    return found


def _no_backend(pool: Pool, id: str) -> Refused:
    near = checks.did_you_mean(id, [backend.id for backend in pool.backends])
    return Refused(404, "backend_not_found", f"pool {pool.id} has no backend {checks.described(id)}{near}")


def _add(config: Config, pool: Pool, change: Change, *, is_there: bool) -> Entry:
    assert change.added is not None
    if is_there:
        raise Refused(409, "backend_exists", f"pool {pool.id} has a backend {change.backend} already")
    problem = misfit(config, pool, change.added)
    if problem:
        raise Refused(422, "invalid_backend", problem)
    return Entry(added=change.added)


def with_own(overlay: Overlay, name: str, entry: Entry, by: str) -> Overlay:
    """``entry`` as the machine's own. One that says nothing and hides nothing is left out."""
    machine = dict(overlay.machine)
    if entry.is_plain and name not in overlay.cluster:
        machine.pop(name, None)
    else:
        machine[name] = replace(entry, by=by, generation=overlay.generation)
    return replace(overlay, machine=machine)


def adopt(
    overlay: Overlay, store: str, generation: int, entries: Mapping[str, Entry], corrupt: Iterable[str] = ()
) -> Overlay:
    """After the store said its ``generation`` and ``entries``. What it does not mention stays as we know it; the
    machine's own ends where the cluster has a later entry. Older news than ours change nothing."""
    overlay = _moved(overlay, store)
    if generation < overlay.generation:
        return overlay
    cluster = {**overlay.cluster, **entries}
    machine = {name: own for name, own in overlay.machine.items() if not _is_later(entries.get(name), own)}
    return Overlay(generation, store, cluster, machine, tuple(corrupt))


def _is_later(entry: Entry | None, own: Entry) -> bool:
    return entry is not None and entry.generation > own.generation


def _moved(overlay: Overlay, store: str) -> Overlay:
    """Another store has other generations: what we have from the one before is the machine's own there, until
    anybody says otherwise."""
    if overlay.store in ("", store):
        return replace(overlay, store=store)
    own = {name: replace(entry, generation=0) for name, entry in overlay.effective().items()}
    return Overlay(store=store, machine=own)


def lost(overlay: Overlay, known: Iterable[str]) -> Iterator[str]:
    """Of the cluster's entries, those that the store does not have any more."""
    present = set(known)
    return (name for name in overlay.cluster if name not in present)
