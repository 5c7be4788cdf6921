"""Routes that can never match: never one that the router would still take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.config.build import build_routes
from lb.config.load import examine
from lb.config.names import KNOWN_METHODS
from lb.config.schema import Schema
from lb.http1.request import RequestFields, RequestHead
from lb.proxy.router import Router
from tests.unit.config.writing import SMALLEST, mistakes

NEVER = "can never match"
HIDDEN = [
    ("{}", "{path: /a}"),
    ("{path: /}", "{exact: /a}"),
    ("{path: /api}", "{path: /api/v1}"),
    ("{path: /api/}", "{path: /api}"),
    ("{host: a.b}", "{host: 'a.b:80'}"),
    ("{host: '*.b'}", "{host: x.a.b}"),
    ("{host: '*.b'}", "{host: '*.a.b'}"),
    ("{host: a.b}", "{host: A.B}"),
    ("{methods: [GET, POST]}", "{methods: GET}"),
    ("{headers: {X-A: true}}", "{headers: {x-a: b, x-b: c}}"),
    ("{query: {v: {regex: a}}}", "{query: {v: {regex: a}}}"),
    ("{}", "{scheme: http}"),
    ("{scheme: https, path: /a}", "{scheme: https, path: /a/b}"),
]
SEEN = [
    ("{path: /api}", "{path: /apis}"),
    ("{path: /api}", "{path: /}"),
    ("{exact: /a}", "{path: /a}"),
    ("{host: a.b}", "{}"),
    ("{host: '*.b'}", "{host: b}"),
    ("{host: 'a.b:80'}", "{host: a.b}"),
    ("{methods: GET}", "{methods: [GET, POST]}"),
    ("{headers: {x-a: b}}", "{headers: {x-a: true}}"),
    ("{query: {v: a}}", "{query: {V: a}}"),
    ("{scheme: http}", "{}"),
    ("{scheme: http}", "{scheme: https}"),
]


def said(folder: Path, *routes: str) -> list[str]:
    text = SMALLEST + "routes:\n" + "".join(f"  - {route[:-1]}, pool: web}}\n".replace("{,", "{") for route in routes)
    return mistakes(folder, text)


@pytest.mark.parametrize(("first", "second"), HIDDEN)
def test_hidden(tmp_path: Path, first: str, second: str) -> None:
    assert said(tmp_path, first, second) == [f"4:5: {NEVER}: line 3 takes everything it would"]


@pytest.mark.parametrize(("first", "second"), SEEN)
def test_seen(tmp_path: Path, first: str, second: str) -> None:
    assert said(tmp_path, first, second) == []


def test_hidden_by_several_together(tmp_path: Path) -> None:
    found = said(tmp_path, "{host: a.x}", "{host: b.x}", "{host: [a.x, b.x], path: /p}")
    assert found == [f"5:5: {NEVER}: lines 3, 4 take everything it would"]


def test_hidden_by_both_schemes_together(tmp_path: Path) -> None:
    found = said(tmp_path, "{scheme: http}", "{scheme: https}", "{path: /p}")
    assert found == [f"5:5: {NEVER}: lines 3, 4 take everything it would"]


REST = "{methods: [HEAD, POST, PUT, DELETE, OPTIONS, PATCH]}"


@pytest.mark.parametrize("last", ["{}", "{path: /p}", "{host: a.x}"])
def test_hidden_by_all_methods_together(tmp_path: Path, last: str) -> None:
    assert said(tmp_path, "{methods: GET}", REST, last) == [f"5:5: {NEVER}: lines 3, 4 take everything it would"]


@pytest.mark.parametrize(
    "routes",
    [
        ("{methods: GET}", "{methods: [POST, PUT]}", "{}"),
        ("{methods: GET, path: /p}", REST, "{}"),
        ("{methods: GET, host: a.x}", REST, "{}"),
        ("{methods: GET, headers: {x-a: b}}", REST, "{}"),
    ],
)
def test_seen_with_the_methods_that_are_left(tmp_path: Path, routes: tuple[str, ...]) -> None:
    assert said(tmp_path, *routes) == []


@pytest.mark.parametrize("value", ["true", "maybe"])
def test_methods_that_are_not_known_may_be_left(tmp_path: Path, value: str) -> None:
    routes = f"routes: [{{methods: GET, pool: web}}, {REST[:-1]}, pool: web}}, {{pool: web}}]\n"
    found = mistakes(tmp_path, SMALLEST + f"unknown_methods: {value}\n{routes}")
    assert not [one for one in found if NEVER in one]


_hosts = st.lists(st.sampled_from(["a.x", "b.a.x", "*.x", "*.a.x", "a.x:80"]), max_size=2, unique=True)
_paths = st.sampled_from(["", "/", "/a", "/a/", "/a/b", "/ab"])
_route = st.fixed_dictionaries(
    {"pool": st.just("web")},
    optional={
        "scheme": st.sampled_from(["http", "https"]),
        "host": _hosts,
        "path": _paths.filter(bool),
        "exact": _paths.filter(bool),
        "methods": st.sampled_from([["GET"], ["POST"], ["GET", "POST"], list(KNOWN_METHODS[1:])]),
        "headers": st.dictionaries(st.just("X-A"), st.sampled_from([True, "1", {"regex": "1|2"}]), max_size=1),
        "query": st.dictionaries(st.just("q"), st.sampled_from([True, "1"]), max_size=1),
    },
).filter(lambda route: not ("path" in route and "exact" in route))
_REQUESTS = [
    RequestHead(method, path + query, 1, host, RequestFields(fields))
    for method in (b"GET", b"POST", b"PATCH")
    for path in (b"/", b"/a", b"/a/", b"/a/b", b"/a/b/c", b"/ab")
    for query in (b"", b"?q=1", b"?q=2")
    for host in (b"a.x", b"a.x:80", b"a.x:81", b"b.a.x", b"c.b.a.x", b"x", b"y")
    for fields in (b"", b"X-A: 1\r\n", b"X-A: 2\r\n")
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(routes=st.lists(_route, min_size=2, max_size=5))
def test_what_is_said_to_be_hidden_never_matches(tmp_path: Path, routes: list[dict[str, Any]]) -> None:
    path = tmp_path / "lb.yaml"
    lines = ",\n".join(json.dumps(route) for route in routes)
    path.write_text(SMALLEST + "routes: [\n" + lines + "]\n")
    hidden = {problem.line - 3 for problem in examine(str(path), {}).problems if NEVER in problem.message}
    built = build_routes(Schema.model_validate({"pools": {"web": {"backends": ["http://h:1"]}}, "routes": routes}))
    router = Router((route, position) for position, route in enumerate(built))
    assert not hidden & {router.match(request, scheme) for request in _REQUESTS for scheme in (b"http", b"https")}
