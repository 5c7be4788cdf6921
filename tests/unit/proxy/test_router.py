"""Which route a request takes, against a loop that asks one route after the other."""

from __future__ import annotations

import re
import time
from statistics import median
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config.url_paths import normal_path
from lb.errors import RequestError
from lb.http1.request import RequestHead
from lb.model import FieldMatch, Route
from lb.proxy.router import Router
from tests.support.scripted import head_of
from tests.support.url_paths import TRICKY, as_an_origin_reads


def router_of(*routes: Route) -> Router:
    """One whose payload is the route's id."""
    return Router((route, route.id) for route in routes)


def taken(routes: list[Route] | tuple[Route, ...], target: str = "/", host: str = "lb.test", *fields: str) -> str:
    return router_of(*routes).match(head_of(f"GET {target} HTTP/1.1", *fields, host=host))


def route(name: str, **match: object) -> Route:
    return Route(name, "health", **match)  # type: ignore[arg-type]


ELSE = route("else")


def test_the_first_that_matches_wins() -> None:
    assert taken((route("api", path="/api"), route("all"), route("never", path="/api/v1")), "/api/v1") == "api"


def test_nothing_matches() -> None:
    assert taken((route("api", path="/api"),), "/other") is None


@pytest.mark.parametrize(
    ("hosts", "asked", "matches"),
    [
        (("a.test",), "a.test", True),
        (("a.test",), "A.Test", True),
        (("a.test",), "a.test:8080", True),
        (("a.test",), "a.test:", True),
        (("a.test",), "b.a.test", False),
        (("a.test:81",), "a.test:81", True),
        (("a.test:81",), "a.test", False),
        (("a.test:81",), "a.test:82", False),
        (("*.a.test",), "b.a.test", True),
        (("*.a.test",), "c.b.a.test:8080", True),
        (("*.a.test",), "a.test", False),
        (("*.a.test",), "ba.test", False),
        (("[::1]",), "[::1]", True),
        (("[::1]",), "[::1]:8080", True),
        (("[::1]:8080",), "[::1]", False),
        (("a.test", "b.test"), "b.test", True),
    ],
)
def test_hosts(hosts: tuple[str, ...], asked: str, matches: bool) -> None:
    assert taken((route("host", hosts=hosts), ELSE), host=asked) == ("host" if matches else "else")


def test_a_name_under_a_wildcard_is_its_own() -> None:
    """Whatever its first label is, even one that a router could use as an example of the wildcard."""
    routes = (route("exact", hosts=("x.a.test",)), route("wild", hosts=("*.a.test",)))
    assert taken(routes, host="x.a.test") == "exact"
    assert taken(routes, host="y.a.test") == "wild"


def test_the_order_of_routes_beats_how_well_a_host_fits() -> None:
    routes = (route("wide", hosts=("*.test",)), route("exact", hosts=("a.test",)))
    assert taken(routes, host="a.test") == "wide"


def test_a_request_without_host_takes_a_route_without_one() -> None:
    head = head_of("GET / HTTP/1.0", host=None)
    assert router_of(route("host", hosts=("a.test",)), ELSE).match(head) == "else"


@pytest.mark.parametrize(("scheme", "expected"), [(b"http", "moved"), (b"https", "secure")])
def test_schemes(scheme: bytes, expected: str) -> None:
    router = router_of(route("moved", scheme="http"), route("secure", scheme="https", hosts=("lb.test",)), ELSE)
    assert router.match(head_of("GET / HTTP/1.1"), scheme) == expected
    assert router.match(head_of("GET / HTTP/1.1", host="other.test"), b"https") == "else"


def test_a_route_without_a_scheme_takes_both() -> None:
    router = router_of(route("only", path="/x", scheme="https"), ELSE)
    head = head_of("GET /x HTTP/1.1")
    assert [router.match(head, scheme) for scheme in (b"http", b"https")] == ["else", "only"]


@pytest.mark.parametrize(
    ("match", "target", "matches"),
    [
        ({"path": "/api"}, "/api", True),
        ({"path": "/api"}, "/api/", True),
        ({"path": "/api"}, "/api/x?y", True),
        ({"path": "/api"}, "/apis", False),
        ({"path": "/api"}, "/API", False),
        ({"path": "/api/"}, "/api/x", True),
        ({"path": "/api"}, "//api//x", True),
        ({"path": "/api"}, "/x/../api", True),
        ({"path": "/api"}, "/api/../x", False),
        ({"path": "/api"}, "/%61pi/x", True),
        ({"path": "/api"}, "/api%2Fx", False),
        ({"path": "/"}, "/anything", True),
        ({"path": "/one", "exact": True}, "/one", True),
        ({"path": "/one", "exact": True}, "/one?two", True),
        ({"path": "/one", "exact": True}, "/one/", False),
        ({"path": "/one", "exact": True}, "/./one", True),
        ({"path": "/", "exact": True}, "/", True),
        ({"path": "/", "exact": True}, "/x", False),
        ({"methods": ("POST",)}, "/", False),
        ({"methods": ("POST", "GET")}, "/", True),
        ({"query": (FieldMatch("v"),)}, "/?v", True),
        ({"query": (FieldMatch("v"),)}, "/?w=v", False),
        ({"query": (FieldMatch("v", "a b"),)}, "/?v=1&v=a+b", True),
        ({"query": (FieldMatch("v", "2"),)}, "/?v=22", False),
        ({"query": (FieldMatch("v", "2.*", regex=True),)}, "/?v=22", True),
        ({"query": (FieldMatch("v", "2", regex=True),)}, "/?v=22", False),
    ],
)
def test_what_else_a_route_may_ask(match: dict[str, object], target: str, matches: bool) -> None:
    assert taken((route("wanted", **match), ELSE), target) == ("wanted" if matches else "else")


@pytest.mark.parametrize(
    ("wanted", "fields", "matches"),
    [
        (FieldMatch("X-Beta"), ("x-beta:",), True),
        (FieldMatch("x-beta"), ("X-Beta: yes",), True),
        (FieldMatch("X-Beta"), ("X-Beta2: yes",), False),
        (FieldMatch("X-Beta", "yes"), ("X-Beta: no", "X-Beta:  yes "), True),
        (FieldMatch("X-Beta", "yes"), ("X-Beta: yes, no",), False),
        (FieldMatch("X-Beta", "y.s", regex=True), ("X-Beta: yes",), True),
        (FieldMatch("X-Beta", "y.s", regex=True), ("X-Beta: yes!",), False),
    ],
)
def test_header_conditions(wanted: FieldMatch, fields: tuple[str, ...], matches: bool) -> None:
    assert taken((route("wanted", headers=(wanted,)), ELSE), "/", "lb.test", *fields) == (
        "wanted" if matches else "else"
    )


def test_a_query_of_too_many_fields_matches_nothing() -> None:
    routes = (route("query", query=(FieldMatch("v"),)), ELSE)
    assert taken(routes, "/?v&" + "&".join(["x"] * 300)) == "else"


# --- against one route after the other


def naive_host(hosts: tuple[str, ...], asked: str) -> bool:
    name = re.sub(":[0-9]*$", "", asked)
    return not hosts or any(
        name.endswith(host[1:]) and name != host[1:] if host.startswith("*.") else host in (asked, name)
        for host in hosts
    )


def naive_path(wanted: str, exact: bool, path: str) -> bool:
    if exact:
        return not wanted or path == wanted
    return wanted in ("", "/") or path == wanted.rstrip("/") or path.startswith(wanted.rstrip("/") + "/")


def naive(routes: list[Route], head: RequestHead, fields: dict[str, str]) -> str | None:
    query = parse_qsl(head.query.decode(), keep_blank_values=True)
    for one in routes:
        if (
            naive_host(one.hosts, head.authority.decode())
            and naive_path(one.path, one.exact, normal_path(head.path).decode())
            and (not one.methods or head.method.decode() in one.methods)
            and all(wanted.value in (None, fields.get(wanted.name)) and wanted.name in fields for wanted in one.headers)
            and all(any(k == w.name and w.value in (None, v) for k, v in query) for w in one.query)
        ):
            return one.id
    return None


LABELS = st.sampled_from(["a", "b", "x"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "test"]))
HOSTS = st.builds(lambda name, kind: {"exact": name, "wild": f"*.{name}", "port": f"{name}:81"}[kind],
                  NAMES, st.sampled_from(["exact", "wild", "port"]))  # fmt: skip
PATHS = st.lists(st.sampled_from(["", "a", "b", "ab"]), max_size=3).map(lambda parts: "/" + "/".join(parts))
CONDITIONS = st.builds(FieldMatch, st.sampled_from(["k", "l"]), st.sampled_from([None, "1", "2"]))
ROUTES = st.lists(
    st.builds(
        lambda hosts, path, exact, methods, headers, query: route(
            "", hosts=hosts, path=normal_path(path.encode()).decode(), exact=exact, methods=methods, headers=headers,
            query=query,
        ),
        st.lists(HOSTS, max_size=2).map(tuple),
        PATHS,
        st.booleans(),
        st.sampled_from([(), (), ("GET",), ("POST", "PUT")]),
        st.lists(CONDITIONS, max_size=1).map(tuple),
        st.lists(CONDITIONS, max_size=1).map(tuple),
    ),
    max_size=8,
)  # fmt: skip


@given(
    routes=ROUTES,
    host=st.builds(lambda name, port: name + port, NAMES, st.sampled_from(["", ":81", ":82"])),
    path=PATHS,
    query=st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
    fields=st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from(["1", "2"])),
    method=st.sampled_from(["GET", "POST"]),
)
def test_the_same_as_asking_one_route_after_the_other(
    routes: list[Route], host: str, path: str, query: dict[str, str], fields: dict[str, str], method: str
) -> None:
    numbered = [Route(**{**{name: getattr(one, name) for name in one.__slots__}, "id": str(i)})
                for i, one in enumerate(routes)]  # fmt: skip
    target = path + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
    head = head_of(f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), host=host)
    assert router_of(*numbered).match(head) == naive(numbered, head, fields)


# --- spellings


@given(TRICKY)
def test_two_spellings_of_one_resource_take_one_route(path: bytes) -> None:
    routes = (
        route("a", path="/a"),
        route("dot", path="/a/..."),
        route("escape", path="/%2F"),
        route("at", path="/@"),
        ELSE,
    )
    spelled_out = b"/" + b"/".join(b"".join(b"%%%02x" % byte for byte in part) for part in as_an_origin_reads(path))
    assert taken(routes, path.decode()) == taken(routes, spelled_out.decode())


# --- cost


def cost_s(router: Router, heads: list[RequestHead]) -> float:
    """Processor seconds per match, the middle of several rounds."""
    rounds = []
    for _ in range(7):
        started = time.thread_time()
        for head in heads:
            router.match(head)
        rounds.append(time.thread_time() - started)
    return median(rounds) / len(heads)


@pytest.mark.parametrize("pattern", ["h{}.test", "*.h{}.test"])
def test_ten_thousand_hosts_cost_what_ten_do(pattern: str) -> None:
    """Ten hosts are asked for in both cases: otherwise the processor's caches would be compared."""

    def measured(hosts: int) -> float:
        router = router_of(*(route(str(i), hosts=(pattern.format(i),)) for i in range(hosts)))
        asked = [pattern.format(i * hosts // 10).replace("*", "www") for i in range(10)]
        return cost_s(router, [head_of(host=host) for host in asked] * 200)

    assert measured(10_000) <= 3 * measured(10)


def test_a_router_of_ten_thousand_hosts_is_built_in_no_time() -> None:
    """Workers build one when they start and at every reload, and serve nobody meanwhile."""

    def built_s(hosts: int) -> float:
        routes = [route(str(i), hosts=(f"h{i}.test", f"*.h{i}.test")) for i in range(hosts)]
        rounds = []
        for _ in range(3):
            started = time.thread_time()
            router_of(*routes)
            rounds.append(time.thread_time() - started)
        return min(rounds)

    assert built_s(10_000) <= 40 * built_s(1000)


def test_a_long_path_and_query_are_read_once_for_all_routes() -> None:
    """8 KiB of escapes take milliseconds: not for each of a hundred routes."""

    def measured(routes: int) -> float:
        paths = [route(f"p{i}", path=f"/p{i}") for i in range(routes)]
        queries = [route(f"q{i}", query=(FieldMatch(f"q{i}", "x"),)) for i in range(routes)]
        router = router_of(*paths, *queries)
        heads = [head_of(f"GET /{i}{'%41' * 1300}?{i}{'&%41=%42' * 190} HTTP/1.1") for i in range(20)]
        return cost_s(router, heads)

    assert measured(100) <= 5 * measured(1)


def test_an_expression_is_asked_about_one_line_of_a_field_and_no_more() -> None:
    """What passes ``lb.config.patterns`` may take the square of its text's length."""
    routes = (route("like", headers=(FieldMatch("X-A", ".*a.*b", regex=True),)), ELSE)
    assert taken(routes, "/", "lb.test", "X-A: c", "X-A: aab") == "like"
    assert taken(routes, "/", "lb.test", "X-A: " + "c" * 8100) == "else"
    with pytest.raises(RequestError, match="head_too_large"):
        taken(routes, "/", "lb.test", "X-A: " + "c" * 8100, "X-A: " + "c" * 100)
