"""Pools and their backends as resources: look at them, change them.

Every answer's ETag is the generation that is in force on this machine; If-Match makes a change only on that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol, cast
from urllib.parse import quote, unquote

from werkzeug.wrappers import Request

from lb.admin.bodies import json_object
from lb.admin.state import Json
from lb.config import checks
from lb.config.membership import WEIGHTS, KeyMistakes, backend_of, checked, unknown_key
from lb.controller.changes import Done, Scope
from lb.model import Snapshot
from lb.state.operator import STATES, Change, Refused, find_backend, find_pool

ROOT = "/api/v1/pools"
_PATCHABLE: dict[str, Callable[[Any], Any]] = {"state": checks.one_of(*STATES), "weight": checks.count(*WEIGHTS)}
_SCOPES = ("machine", "cluster")
_match_tag = re.compile(r'\s*(?:W/)?"([0-9]{1,18})"\s*|\s*(\*)\s*', re.ASCII).fullmatch


class Answer:
    """What a resource says: a status, JSON, and fields."""

    def __init__(self, body: Json, status: int = 200, **fields: str) -> None:
        self.body = body
        self.status = status
        self.fields = fields


class Makes(Protocol):
    """``lb.controller.changes.Changes``."""

    def current(self) -> Snapshot: ...
    def make(self, change: Change, scope: Scope, expected: int | None) -> Done: ...


class PoolResources:
    """``described``: all pools as ``lb.admin.state`` has them; Refused while there is nothing to read."""

    def __init__(self, changes: Callable[[], Makes], described: Callable[[], Json]) -> None:
        self._changes = changes
        self._described = described

    def find(self, raw_path: str) -> dict[str, Callable[[Request], Answer]] | None:
        """By method; None if there is no such resource. ``raw_path`` as it came: ids may hold escaped slashes."""
        rest = raw_path.removeprefix(ROOT)
        if rest == raw_path or (rest and not rest.startswith("/")):
            return None
        if not rest:
            return {"GET": self._all}
        pool, _, rest = rest[1:].partition("/")
        pool_id = unquote(pool)
        if not rest:
            return {"GET": lambda _: self._pool(pool_id)} if not raw_path.endswith("/") else None
        if rest == "backends":
            return {"POST": lambda request: self._add(request, pool_id)}
        id = unquote(rest.removeprefix("backends/"))
        if not rest.startswith("backends/") or not id:
            return None
        return {
            "GET": lambda _: self._backend(pool_id, id),
            "PATCH": lambda request: self._set(request, pool_id, id),
            "DELETE": lambda request: self._remove(request, pool_id, id),
        }

    # -- looks ------------------------------------------------------------------------------

    def _all(self, request: Request) -> Answer:
        state = self._described()
        return Answer({"generation": state["generation"], "pools": state["pools"]}, ETag=tag(state["generation"]))

    def _pool(self, pool_id: str) -> Answer:
        find_pool(self._changes().current().config, pool_id)
        state = self._described()
        return Answer(_one(state["pools"], pool_id), ETag=tag(state["generation"]))

    def _backend(self, pool_id: str, id: str) -> Answer:
        find_backend(find_pool(self._changes().current().config, pool_id), id)
        state = self._described()
        return Answer(_one(_one(state["pools"], pool_id)["backends"], id), ETag=tag(state["generation"]))

    # -- changes ----------------------------------------------------------------------------

    def _set(self, request: Request, pool_id: str, id: str) -> Answer:
        wish = _checked(json_object(request), _PATCHABLE)
        if not wish:
            raise Refused(422, "nothing_to_change", f"nothing to change: expected {' or '.join(_PATCHABLE)}")
        return self._make(request, Change("set", pool_id, id, wish.get("state"), wish.get("weight")))

    def _add(self, request: Request, pool_id: str) -> Answer:
        wish = json_object(request)
        try:
            added = backend_of(wish)
        except KeyMistakes as error:
            raise InvalidKeys(error.mistakes) from error
        answer = self._make(request, Change("add", pool_id, added.id, added=added))
        answer.status = 201
        answer.fields["Location"] = backend_path(pool_id, added.id)
        return answer

    def _remove(self, request: Request, pool_id: str, id: str) -> Answer:
        return self._make(request, Change("remove", pool_id, id))

    def _make(self, request: Request, change: Change) -> Answer:
        changes = self._changes()
        done = changes.make(change, _scope(request), expected_generation(request, changes.current))
        body: Json = {
            "pool": change.pool,
            "backend": change.backend,
            "generation": done.generation,
            "scope": done.scope,
            "warnings": list(done.warnings),
            "problems": list(done.problems),
        }
        return Answer(body, ETag=tag(done.generation))


class InvalidKeys(Refused):
    """422; ``mistakes`` by key."""

    def __init__(self, mistakes: dict[str, str]) -> None:
        text = "; ".join(f"{key[:100]}: {said}" for key, said in mistakes.items())
        super().__init__(422, "invalid", text)
        self.mistakes = mistakes


def _checked(wish: dict[str, Any], known: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    try:
        return checked(wish, known)
    except KeyMistakes as error:
        raise InvalidKeys(error.mistakes) from error


def _scope(request: Request) -> Scope:
    for name in request.args:
        if name != "scope":
            raise InvalidKeys({name: unknown_key(name, ("scope",))})
    scope = request.args.get("scope", "")
    if scope and scope not in _SCOPES:
        raise InvalidKeys({"scope": f"expected machine or cluster, got {checks.described(scope)}"})
    return cast(Scope, scope)


def expected_generation(request: Request, current: Callable[[], Snapshot]) -> int | None:
    """What If-Match asks for; ``*`` is whatever is in force. Refused 400 for what no ETag of ours looks like."""
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return None
    match = _match_tag(wanted)
    if match is None:
        raise Refused(400, "bad_if_match", 'If-Match: expected one ETag such as "7"')
    return current().generation if match[2] else int(match[1])


def tag(generation: int) -> str:
    return f'"{generation}"'


def backend_path(pool_id: str, id: str) -> str:
    return f"{ROOT}/{quote(pool_id, safe='')}/backends/{quote(id, safe='')}"


def _one(items: list[Json], id: str) -> Json:
    found = next((item for item in items if item["id"] == id), None)
    if found is None:  # in force, but not counted yet
        raise Refused(503, "not_counted", "it was added just now: look again")
    return found
