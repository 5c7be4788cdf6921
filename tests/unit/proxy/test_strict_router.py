"""``ambiguous_paths: reject``: what is accepted is read alike by every backend, and what is refused is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lb.config.url_paths import find_ambiguity, normal_path
from lb.errors import REASONS, RequestError
from lb.model import Route
from lb.proxy.router import Router, StrictRouter
from tests.support.scripted import head_of

Reading = Callable[[bytes], bytes]


def merged(path: bytes) -> bytes:
    return re.sub(rb"/+", b"/", path)


def without_dot_segments(path: bytes) -> bytes:
    """RFC 3986 section 5.2.4: empty segments count."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            kept = kept[:-1]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept) + (b"/" if kept and segments[-1] in (b".", b"..") else b"")


def leniently_utf_8(path: bytes) -> bytes:
    """As decoders did that took two, three and four bytes for one ASCII character."""
    return re.sub(
        rb"(?:[\xc0\xc1]|\xe0[\x80\x81]|\xf0\x80[\x80\x81])[\x80-\xbf]",
        lambda found: bytes((((found[0][-2] & 1) << 6) | (found[0][-1] & 0x3F),)),
        path,
    )


READINGS: dict[str, Reading] = {
    "decodes": unquote_to_bytes,
    "decodes %u": lambda path: re.sub(rb"(?i)%u00([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), path),
    "reads overlong UTF-8": leniently_utf_8,
    "takes a backslash for a slash": lambda path: path.replace(b"\\", b"/"),
    "cuts parameters off": lambda path: re.sub(rb";[^/]*", b"", path),
    "ends at NUL": lambda path: path.partition(b"\0")[0],
    "drops controls": lambda path: re.sub(rb"[\x00-\x1f\x7f]", b"", path),
    "ends at a query": lambda path: path.partition(b"?")[0],
    "ends at a fragment": lambda path: path.partition(b"#")[0],
    "merges slashes": merged,
    "takes the first segment of // for a host": lambda path: re.sub(rb"^//[^/]*", b"", path) or b"/",
    "resolves dot segments": without_dot_segments,
}
"""What backends do to a path before they look for what it names, in whatever order."""


def read_by(path: bytes, habits: Sequence[str]) -> bytes:
    """What a backend with these habits looks for in the end."""
    for habit in (*habits, "decodes"):
        path = READINGS[habit](path)
    return path


BACKENDS = [
    (),
    *(
        habits
        for habit in READINGS
        for habits in (
            (habit,),
            ("decodes", habit),
            ("decodes", "decodes", habit),
            ("decodes", habit, "resolves dot segments"),
            ("decodes", habit, "cuts parameters off", "merges slashes", "resolves dot segments"),
        )
    ),
]

PATHS = (
    "/admin/", "/a", "/a/b", "/x/admin", "/@a", "/%20", "/a%20b", "/caf%C3%A9", "/%5Ba%5D", "/a!$&'()*+,=:@~",
    "/admin.json", "/...",
)  # fmt: skip
Match = tuple[str, bool]
"""A route's path, and whether it is meant exactly."""
ROUTES = st.lists(st.tuples(st.sampled_from(PATHS), st.booleans()), max_size=4, unique=True).map(
    lambda routes: [*routes, ("/admin", False)]
)
PLAIN = (
    "/", "/x", "/admin", "/adm%69n", "/%41", "a", "b", "%40", "@", "%20", "+", "/caf%c3%a9", "%5ba%5D", ":", "=", ".json",
    "%2Ejson", "~", "%7e", "/...",
)  # fmt: skip
ODD = (
    "/.", "/..", "/%2e", "/.%2E", "/", "%2F", "%2f..", "/..%2f", "%5c", "/..%5C", ";x", "%3b", "/..;", "%00", "%0A", "%7F", "%25",
    "%252f", "%", "%%32f", "%u002f", "%c0%af", "%e0%80%af", "%f0%80%80%ae", "%23", "%3F", "|", "[a]",
)  # fmt: skip
TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, blacklist_characters="#?\\"), max_size=20)
TARGETS = (st.lists(st.sampled_from(PLAIN) | st.sampled_from(ODD), max_size=5).map("".join) | TEXT).map(
    lambda path: path if path[:1] == "/" else "/" + path
)


def routers(routes: Sequence[Match]) -> tuple[Router, StrictRouter]:
    """Ours in both settings; the payload is the route's number, for no route None."""
    built = [(Route(str(i), "health", path=path, exact=exact), i) for i, (path, exact) in enumerate(routes)]
    return Router(built), StrictRouter(built)


def named_by(path: bytes, routes: Sequence[Match]) -> int | None:
    """The first route that a decoded path lies in, as it stands: no spelling is forgiven here."""
    for number, (wanted, exact) in enumerate(routes):
        whole = unquote_to_bytes(wanted)
        below = whole.rstrip(b"/") + b"/"
        if path == whole if exact else path.startswith(below) or path + b"/" == below:
            return number
    return None


def check(target: str, routes: Sequence[Match], backends: Sequence[Sequence[str]]) -> None:
    """Refused, or of one route for each of the backends."""
    lenient, strict = routers(routes)
    head = head_of(f"GET {target} HTTP/1.1")
    try:
        taken = strict.match(head)
    except RequestError as error:
        assert error.reason == "ambiguous_path"
        return
    assert taken == lenient.match(head)
    for habits in backends:
        read = read_by(head.path, habits)
        assert named_by(read, routes) == taken, f"{target} taken for {read!r} by one that {', '.join(habits)}"


@given(target=TARGETS, routes=ROUTES, habits=st.lists(st.sampled_from(sorted(READINGS)), max_size=6))
def test_what_is_accepted_takes_one_route_however_it_is_read(
    target: str, routes: list[Match], habits: list[str]
) -> None:
    check(target, routes, [*BACKENDS, habits])


@pytest.mark.parametrize("odd", [*ODD, *PLAIN])
def test_nothing_odd_anywhere_in_a_path_makes_it_two(odd: str) -> None:
    for before, after in product(("", "/admin", "/x", "/adm"), ("", "/admin", "admin", "in", "x")):
        target = before + odd + after
        check(target if target[:1] == "/" else "/" + target, [("/%5Ba%5D", False), ("/admin", False)], BACKENDS)


@given(target=TARGETS)
def test_what_is_accepted_stays_accepted_in_normal_form(target: str) -> None:
    path = target.encode()
    assume(not find_ambiguity(path))
    assert not find_ambiguity(normal_path(path))


@pytest.mark.parametrize(
    ("target", "habits"),
    [
        ("/admin%2Fx", ()),
        ("/a/..%2fadmin", ("decodes", "resolves dot segments")),
        ("/admin%5cx", ("decodes", "takes a backslash for a slash")),
        ("/a/..%5cadmin", ("decodes", "takes a backslash for a slash", "resolves dot segments")),
        ("/admin;x", ("cuts parameters off",)),
        ("/admin%3bx", ("decodes", "cuts parameters off")),
        ("/..;/admin", ("cuts parameters off", "resolves dot segments")),
        ("/admin%00", ("decodes", "ends at NUL")),
        ("/adm%09in", ("decodes", "drops controls")),
        ("/adm%7fin", ("decodes", "drops controls")),
        ("/%2561dmin", ("decodes",)),
        ("/admin%252fx", ("decodes",)),
        ("/admin%%32fx", ("decodes",)),
        ("/admin%u002fx", ("decodes %u",)),
        ("/admin%3Fx", ("decodes", "ends at a query")),
        ("/admin%23x", ("decodes", "ends at a fragment")),
        ("/admin%c0%afx", ("decodes", "reads overlong UTF-8")),
        ("/admin%e0%80%afx", ("decodes", "reads overlong UTF-8")),
        ("/admin%f0%80%80%afx", ("decodes", "reads overlong UTF-8")),
        ("//x/admin", ("takes the first segment of // for a host",)),
    ],
)
def test_each_refused_spelling_passes_a_barrier_on_the_way_to_some_backend(target: str, habits: Sequence[str]) -> None:
    routes = [("/admin", False), ("/", False)]
    lenient, strict = routers(routes)
    assert lenient.match(head_of(f"GET {target} HTTP/1.1")) == 1, "ours takes it for something else"
    assert named_by(read_by(target.encode(), habits), routes) == 0
    with pytest.raises(RequestError) as caught:
        strict.match(head_of(f"GET {target} HTTP/1.1"))
    assert REASONS[caught.value.reason].status == 400


@pytest.mark.parametrize("target", ["//admin", "/x/../admin", "/x/%2e%2e/admin", "/./admin", "/x//../admin"])
def test_spellings_that_some_backends_take_as_they_stand_are_refused(target: str) -> None:
    """Ours takes them for /admin; for a backend that neither merges nor resolves they are something else."""
    routes = [("/admin", False), ("/", False)]
    lenient, strict = routers(routes)
    assert lenient.match(head_of(f"GET {target} HTTP/1.1")) == 0
    assert named_by(read_by(target.encode(), ()), routes) == 1
    with pytest.raises(RequestError, match="ambiguous_path"):
        strict.match(head_of(f"GET {target} HTTP/1.1"))


@pytest.mark.parametrize("target", ["/admin?next=//x%2F..;a%25", "http://lb.test/admin?x=%00", "/admin?"])
def test_a_query_may_hold_anything(target: str) -> None:
    _, strict = routers([("/admin", False)])
    assert strict.match(head_of(f"GET {target} HTTP/1.1")) == 0


def test_the_server_as_a_whole_has_no_path() -> None:
    _, strict = routers([("/", False)])
    assert strict.match(head_of("OPTIONS * HTTP/1.1")) == 0


def test_schemes_are_told_apart() -> None:
    router = StrictRouter([(Route("moved", "health", scheme="http"), "moved"), (Route("else", "health"), "else")])
    head = head_of("GET / HTTP/1.1")
    assert [router.match(head, scheme) for scheme in (b"http", b"https")] == ["moved", "else"]
