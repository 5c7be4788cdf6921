"""match: which route a request takes. Pure; built once per configuration, only read per request.

Hosts cost one dictionary look-up whatever their number: each host gets, at build time, the ordered
list of the routes that could match it. Paths are matched in the form an origin would understand
them (``normal_path``), while what is forwarded stays byte for byte what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from lb.config.url_paths import find_ambiguity, normal_path
from lb.errors import RequestError
from lb.http1.fields import MAX_LINE_BYTES
from lb.http1.request import RequestHead
from lb.model import FieldMatch, Route

Condition = Callable[[RequestHead], bool]
Rule = tuple[tuple[Condition, ...], Any]
Routes = list[tuple[Route, Any]]

_MAX_QUERY_FIELDS = 200


class Router:
    """``match(head, scheme)`` gives the payload of the first route that matches, or None.

    One table for each scheme: a route without one is in both and never asks. If no route asks, they are one table.
    """

    def __init__(self, routes: Iterable[tuple[Route, Any]]) -> None:
        every = list(routes)
        self._plain = self._tls = _Table(_of_scheme(every, "http"))
        if any(route.scheme for route, _ in every):
            self._tls = _Table(_of_scheme(every, "https"))

    def match(self, head: RequestHead, scheme: bytes = b"http") -> Any:
        """``scheme``: of the client's request, as the exchange's caller has it."""
        return (self._tls if scheme == b"https" else self._plain).match(head)


def _of_scheme(routes: Routes, scheme: str) -> Routes:
    return [(route, payload) for route, payload in routes if route.scheme in ("", scheme)]


class _Table:
    """The routes that one scheme can take, by host."""

    def __init__(self, routes: Routes) -> None:
        self._rules: list[Rule] = []
        self._named: dict[bytes, list[int]] = {}
        for route, payload in routes:
            for host in set(route.hosts) or ("",):
                self._named.setdefault(host.encode(), []).append(len(self._rules))
            self._rules.append((_conditions(route), payload))
        self._exact: dict[bytes, list[Rule]] = {}
        self._wildcards: dict[bytes, list[Rule]] = {}
        for name in self._named:
            if name.startswith(b"*."):
                self._wildcards[name[1:]] = self._candidates(name)
            elif name:
                self._exact[name] = self._candidates(name)
        self._any = self._candidates(b"")

    def _candidates(self, host: bytes) -> list[Rule]:
        """In the order of the routes. Each look-up here costs what it finds: 10,000 hosts are built in no time."""
        found = {position for name in covering(host) for position in self._named.get(name, ())}
        return [self._rules[position] for position in sorted(found)]

    def match(self, head: RequestHead) -> Any:
        """A host is matched without the dot that may end a full name (``example.com.``)."""
        for conditions, payload in self._for_host(without_root_dot(head.authority)):
            for condition in conditions:
                if not condition(head):
                    break
            else:
                return payload
        return None

    def _for_host(self, authority: bytes) -> list[Rule]:
        exact = self._exact
        if exact:
            found = exact.get(authority)
            if found is None:
                found = exact.get(without_port(authority))
            if found is not None:
                return found
        if self._wildcards:
            name = without_port(authority)
            dot = name.find(b".")
            while dot >= 0:
                found = self._wildcards.get(name[dot:])
                if found is not None:
                    return found
                dot = name.find(b".", dot + 1)
        return self._any


class StrictRouter(Router):
    """One for ``ambiguous_paths: reject``: a path that a backend may read otherwise is refused before any route is asked."""

    def match(self, head: RequestHead, scheme: bytes = b"http") -> Any:
        ambiguity = find_ambiguity(head.path)
        if ambiguity is not None:
            raise RequestError("ambiguous_path", ambiguity[0].decode("ascii", "replace"))
        return super().match(head, scheme)


def without_root_dot(authority: bytes) -> bytes:
    """``example.com.`` and ``example.com`` are one host (RFC 1034 section 3.1)."""
    if authority[-1:] == b".":
        return authority[:-1]
    return authority.replace(b".:", b":", 1) if b".:" in authority else authority


def without_port(authority: bytes) -> bytes:
    host, colon, port = authority.rpartition(b":")
    return host if colon and not port.strip(b"0123456789") else authority


def covering(host: bytes) -> list[bytes]:
    """The hosts of routes that match ``host`` (or everything under a wildcard): none at all, itself, itself
    without port, and the wildcards above it."""
    name = without_port(host)
    labels = name.split(b".")
    return [b"", host, name, *(b"*." + b".".join(labels[above:]) for above in range(1, len(labels)))]


def _conditions(route: Route) -> tuple[Condition, ...]:
    """The route's conditions beyond its host, cheapest first; none for a catch-all."""
    found: list[Condition] = []
    if route.path and route.exact:
        found.append(_exact_path(route.path.encode()))
    elif route.path and route.path != "/":
        found.append(_path_prefix(route.path.encode()))
    if route.methods:
        methods = frozenset(method.encode() for method in route.methods)
        found.append(lambda head: head.method in methods)
    found += [_field(wanted) for wanted in route.headers]
    found += [_query(wanted) for wanted in route.query]
    return tuple(found)


def _exact_path(wanted: bytes) -> Condition:
    return lambda head: normal_path(head.path) == wanted


def _path_prefix(prefix: bytes) -> Condition:
    """On segment boundaries: ``/api`` takes ``/api`` and ``/api/x``, not ``/apis``."""
    whole = prefix.rstrip(b"/")
    below = whole + b"/"

    def matches(head: RequestHead) -> bool:
        path = normal_path(head.path)
        return path.startswith(below) or path == whole

    return matches


def _field(wanted: FieldMatch) -> Condition:
    name = wanted.name.lower().encode()
    if wanted.value is None:
        return lambda head: bool(head.fields.values(name))
    if wanted.regex:
        return _field_like(name, wanted.value.encode())
    value = wanted.value.encode()
    return lambda head: value in head.fields.values(name)


def _field_like(name: bytes, pattern: bytes) -> Condition:
    """An expression may take the square of what it looks at (``lb.config.patterns``): one line's worth of it is enough."""
    found = re.compile(pattern, re.DOTALL).fullmatch

    def matches(head: RequestHead) -> bool:
        values = head.fields.values(name)
        if len(values) > 1 and sum(map(len, values)) > MAX_LINE_BYTES:
            raise RequestError("head_too_large", f"all {name.decode()} together")
        return any(found(value) for value in values)

    return matches


def query_values(head: RequestHead, name: str) -> list[str]:
    """Values of a query field, decoded; junk gives none rather than an error."""
    return [value for key, value in _pairs(head.query) if key == name]


@lru_cache(maxsize=16)
def _pairs(query: bytes) -> tuple[tuple[str, str], ...]:
    """Remembered, because every route that is asked wants them."""
    try:
        return tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS))
    except ValueError:
        return ()


def _query(wanted: FieldMatch) -> Condition:
    if wanted.value is None:
        return lambda head: bool(query_values(head, wanted.name))
    if wanted.regex:
        found = re.compile(wanted.value, re.DOTALL).fullmatch  # as ``lb.config.patterns`` takes it to be
        return lambda head: any(found(value) for value in query_values(head, wanted.name))
    value = wanted.value
    return lambda head: value in query_values(head, wanted.name)
