"""What holds of a pool's backends whoever names them: the configuration file, an operator, another machine.

The keys of a backend with the checks of the file's, and what does not fit together. Pure, and without pydantic: the
controller asks too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lb.config import checks
from lb.config.addresses import Address, bind_address, bind_text, reaches
from lb.config.names import HASH_TABLES
from lb.config.usable_policies import with_inner
from lb.model import Backend, Config, Pool

WEIGHTS = (1, 256)
MOST_MISTAKES = 20
"""More are of no use to anybody, and looking for what each was meant to be takes its time: 1 MiB of them seconds."""
BACKEND_KEYS: dict[str, Callable[[Any], Any]] = {
    "url": checks.backend_url,
    "id": checks.label,
    "weight": checks.count(*WEIGHTS),
    "region": checks.text_of,
    "zone": checks.text_of,
    "max_inflight": checks.limit_or_none,
    "backup": checks.flag,
    "priority": checks.count(0, 127),
}
"""As in ``lb.config.schema_pools.BackendEntry``; a test compares them."""


class KeyMistakes(ValueError):
    """``mistakes``: by key, each a sentence."""

    def __init__(self, mistakes: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key}: {text}" for key, text in mistakes.items()))
        self.mistakes = dict(mistakes)


def checked(values: Mapping[str, Any], known: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """``values`` as their checks leave them. KeyMistakes with what is wrong; an unknown key is, too."""
    found, mistakes = {}, {}
    for key, value in values.items():
        try:
            check = known.get(key)
            if check is None:
                raise ValueError(unknown_key(key, known))
            found[key] = check(value)
        except ValueError as error:
            mistakes[key] = str(error)
            if len(mistakes) >= MOST_MISTAKES:
                break
    if mistakes:
        raise KeyMistakes(mistakes)
    return found


def unknown_key(key: str, known: Iterable[str]) -> str:
    near = checks.did_you_mean(key, known)
    return f"unknown key {checks.described(key)}{near or ': expected one of ' + ', '.join(known)}"


def backend_of(values: Mapping[str, Any]) -> Backend:
    """A backend from the keys of the file. KeyMistakes."""
    found = checked(values, BACKEND_KEYS)
    if "url" not in found:
        raise KeyMistakes({"url": "`url` is missing"})
    place: Address = found.pop("url")
    id = found.pop("id", "") or place.unix_path or bind_text(place)
    scheme = "https" if place.scheme == "https" else "http"
    return Backend(id, scheme, place.host, place.port, place.unix_path, **found)  # type: ignore[arg-type]


def keys_of(backend: Backend) -> dict[str, Any]:
    """The keys that make this backend, without those at their defaults."""
    url = f"unix:{backend.unix_path}" if backend.unix_path else f"{backend.scheme}://{backend.address}"
    default = Backend("")
    names = ("weight", "region", "zone", "max_inflight", "backup", "priority")
    changed = {name: getattr(backend, name) for name in names if getattr(backend, name) != getattr(default, name)}
    return {"url": url, "id": backend.id, **changed}


def misfit(config: Config, pool: Pool, backend: Backend) -> str:
    """Why ``backend`` cannot be one more of ``pool``; empty if it can. A sentence."""
    place = Address(backend.scheme, backend.host, backend.port, backend.unix_path)
    for listener in config.listeners:
        if any(reaches(place, bind_address(bind)) for bind in listener.bind):
            return own_listener(place, listener.id)
    if place.unix_path and place.unix_path == f"{config.state.dir}/control.sock":
        return own_listener(place, "control")
    if "contract" in _tables(config, pool):
        return crowded(len(pool.backends) + 1, pool.hash.contract.virtual_servers, pool.hash.contract.slots)
    return ""


def own_listener(place: Address, listener: str) -> str:
    return f"`{bind_text(place)}` is our own listener `{listener}`: requests would go in circles"


def crowded(backends: int, virtual_servers: int, slots: int) -> str:
    """What is wrong with so many backends in the table ``contract``; empty if nothing is."""
    wanted = backends * virtual_servers
    if wanted <= slots:
        return ""
    return (
        f"{backends} backends with {virtual_servers} virtual servers each need {wanted} slots, "
        f"the table `contract` has {slots}: more `contract.slots`, or fewer `contract.virtual_servers`"
    )


def _tables(config: Config, pool: Pool) -> set[str]:
    """The tables by which requests to ``pool`` can be hashed, but for those that name a policy themselves."""
    routes = (route for route in config.routes if route.pool == pool.id)
    named = with_inner({pool.policy, *(route.policy for route in routes)}, pool.geo_inner)
    return {HASH_TABLES[name] or pool.hash.table for name in named if name in HASH_TABLES}
