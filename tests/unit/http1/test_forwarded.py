"""Who asked, as we tell a backend: what a stranger says of itself counts for nothing, a trusted proxy is believed."""

from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import RequestError
from lb.http1.forwarded import (
    Caller,
    RequestIds,
    TrustedProxies,
    describe,
    identity_lines,
    parse_address,
)
from lb.http1.request import parse_fields

NOBODY = TrustedProxies(())
PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])
UNTRACED = TrustedProxies(["10.0.0.0/8"], makes_traces=False)
PROXY = b"10.0.0.1"
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ID, SPAN = b"0123456789abcdef0123456789abcdef", b"0123456789abcdef"


def told(*fields: str, peer: bytes = PROXY, trusted: TrustedProxies = PROXIES, host: bytes = b"lb.test") -> Caller:
    block = "".join(f"{field}\r\n" for field in fields).encode("latin-1")
    return describe(parse_fields(block), host, peer, b"http", trusted)


def lines_of(block: bytes) -> dict[str, str]:
    """Each exactly once, or it is no block of fields."""
    assert re.fullmatch(rb"(?:[A-Za-z-]+: [^\r\n\x00]*\r\n)*", block), block
    lines = block.decode("latin-1").split("\r\n")[:-1]
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert len(fields) == len(lines)
    return fields


CLAIMS = (
    "X-Forwarded-For: 203.0.113.9",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.test",
    "X-Real-IP: 203.0.113.9",
    "Forwarded: for=203.0.113.9;proto=https",
    "X-Request-Id: given",
    f"traceparent: {TRACE.decode()}",
    "tracestate: a=b",
    "Via: 1.0 cache",
)


def test_a_stranger_is_who_it_connects_as() -> None:
    caller = told(*CLAIMS, peer=b"198.51.100.1")
    assert (caller.address, caller.scheme) == (b"198.51.100.1", b"http")
    assert (caller.request_id, caller.trace, caller.tracestate) == (b"", b"", b"")
    assert lines_of(caller.lines) == {
        "x-forwarded-for": "198.51.100.1",
        "x-real-ip": "198.51.100.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "lb.test",
        "forwarded": "for=198.51.100.1;host=lb.test;proto=http",
        "via": "1.0 cache, 1.1 lb",
    }


def test_a_trusted_proxy_is_believed_and_added_to() -> None:
    caller = told(*CLAIMS)
    assert (caller.address, caller.scheme) == (b"203.0.113.9", b"https")
    assert (caller.request_id, caller.trace, caller.tracestate) == (b"given", TRACE, b"a=b")
    assert lines_of(caller.lines) == {
        "x-forwarded-for": "203.0.113.9, 10.0.0.1",
        "x-real-ip": "203.0.113.9",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "shop.test",
        "forwarded": "for=203.0.113.9;proto=https, for=10.0.0.1;host=shop.test;proto=https",
        "via": "1.0 cache, 1.1 lb",
    }


@given(st.lists(st.sampled_from(CLAIMS), unique=True))
def test_nothing_a_stranger_claims_changes_anything_but_via(claims: list[str]) -> None:
    honest, claiming = told(peer=b"198.51.100.1"), told(*claims, peer=b"198.51.100.1")
    assert claiming._replace(lines=b"") == honest._replace(lines=b"")
    said, plain = lines_of(claiming.lines), lines_of(honest.lines)
    assert {**said, "via": ""} == {**plain, "via": ""}


@pytest.mark.parametrize(
    ("said", "client", "chain"),
    [
        ("203.0.113.9", b"203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("198.51.100.1, 203.0.113.9", b"203.0.113.9", "198.51.100.1, 203.0.113.9, 10.0.0.1"),
        ("203.0.113.9, 10.2.2.2, 192.0.2.1", b"203.0.113.9", "203.0.113.9, 10.2.2.2, 192.0.2.1, 10.0.0.1"),
        ("10.2.2.2, 10.3.3.3", b"10.2.2.2", "10.2.2.2, 10.3.3.3, 10.0.0.1"),
        ("203.0.113.9:5555", b"203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("[2001:db9::1]:5555", b"2001:db9::1", "2001:db9::1, 10.0.0.1"),
        ('"[2001:db9::1]"', b"2001:db9::1", "2001:db9::1, 10.0.0.1"),
        ("::ffff:203.0.113.9", b"203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("203.0.113.9, unknown", b"10.0.0.1", "203.0.113.9, unknown, 10.0.0.1"),
        ("203.0.113.9, unknown, 10.2.2.2", b"10.2.2.2", "203.0.113.9, unknown, 10.2.2.2, 10.0.0.1"),
        ("<script>, 203.0.113.9", b"203.0.113.9", "203.0.113.9, 10.0.0.1"),
        (", ,", b"10.0.0.1", "10.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_that_no_proxy_vouches_for(said: str, client: bytes, chain: str) -> None:
    caller = told(f"X-Forwarded-For: {said}")
    assert caller.address == client
    fields = lines_of(caller.lines)
    assert (fields["x-forwarded-for"], fields["x-real-ip"]) == (chain, client.decode())


def test_several_lines_are_one_list() -> None:
    caller = told("X-Forwarded-For: 203.0.113.9", "x-forwarded-for: 10.2.2.2")
    assert lines_of(caller.lines)["x-forwarded-for"] == "203.0.113.9, 10.2.2.2, 10.0.0.1"


def test_a_chain_has_an_end() -> None:
    caller = told(*["X-Forwarded-For: " + ", ".join(["10.2.2.2"] * 500)] * 2)
    assert lines_of(caller.lines)["x-forwarded-for"].count(",") == 64
    caller = told("X-Forwarded-For: 203.0.113.1," + "," * 5_000 + "203.0.113.9")
    assert lines_of(caller.lines)["x-forwarded-for"] == "203.0.113.9, 10.0.0.1"


@pytest.mark.parametrize(
    ("said", "scheme"), [("https", b"https"), ("HTTPS", b"https"), ("ftp", b"http"), ("", b"http")]
)
def test_schemes(said: str, scheme: bytes) -> None:
    assert told(f"X-Forwarded-Proto: {said}").scheme == scheme


@pytest.mark.parametrize(
    ("said", "host"), [("shop.test:81", "shop.test:81"), ("a b", "lb.test"), ('"', "lb.test"), ("x" * 300, "lb.test")]
)
def test_hosts(said: str, host: str) -> None:
    assert lines_of(told(f"X-Forwarded-Host: {said}").lines)["x-forwarded-host"] == host


@pytest.mark.parametrize(
    ("peer", "host", "element"),
    [
        (b"198.51.100.1", b"lb.test:81", 'for=198.51.100.1;host="lb.test:81";proto=http'),
        (b"2001:db9::1", b"[::1]:81", 'for="[2001:db9::1]";host="[::1]:81";proto=http'),
        (b"", b"", "for=unknown;proto=http"),
    ],
)
def test_forwarded_is_quoted_where_it_must_be(peer: bytes, host: bytes, element: str) -> None:
    """RFC 7239 section 6: an address with colons stands in quotes, one of version 6 in brackets too."""
    assert lines_of(told(peer=peer, host=host).lines)["forwarded"] == element


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('for="[2001:db8::1]"', True),
        ('for="a\\"b"', True),
        ('for="x', False),
        ('for=x";by="y', True),
        ("for=\\x", False),
    ],
)
def test_our_element_is_never_inside_the_quotes_of_another(said: str, kept: bool) -> None:
    element = "for=10.0.0.1;host=lb.test;proto=http"
    assert lines_of(told(f"Forwarded: {said}").lines)["forwarded"] == (f"{said}, {element}" if kept else element)


def test_a_unix_socket_has_no_address() -> None:
    fields = lines_of(told(peer=b"").lines)
    assert (fields["x-forwarded-for"], fields["x-real-ip"]) == ("unknown", "unknown")


# --- ids and traces


@pytest.mark.parametrize(
    ("said", "taken"),
    [("abc-123_~+/=:@.", True), ("a b", False), ('"', False), ("x" * 128, True), ("x" * 129, False), ("", False)],
)
def test_request_ids(said: str, taken: bool) -> None:
    assert told(f"X-Request-Id: {said}").request_id == (said.encode() if taken else b"")


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (TRACE.decode(), True),
        (TRACE.decode().upper(), False),
        (TRACE.decode().replace("00-", "01-", 1), False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", False),
        (TRACE.decode() + "-x", False),
    ],
)
def test_traces(said: str, taken: bool) -> None:
    caller = told(f"traceparent: {said}", "tracestate: a=b")
    assert (caller.trace, caller.tracestate) == ((said.encode(), b"a=b") if taken else (b"", b""))


def test_a_request_without_a_past_gets_an_id_and_a_trace() -> None:
    assert lines_of(identity_lines(told(), ID, SPAN)) == {
        "x-request-id": ID.decode(),
        "traceparent": f"00-{ID.decode()}-{SPAN.decode()}-01",
    }


def test_a_trace_goes_on_with_a_span_of_ours() -> None:
    caller = told("X-Request-Id: given", f"traceparent: {TRACE.decode()[:-1]}0", "tracestate: a=b")
    assert lines_of(identity_lines(caller, ID, SPAN)) == {
        "x-request-id": "given",
        "traceparent": f"00-0af7651916cd43dd8448eb211c80319c-{SPAN.decode()}-00",
        "tracestate": "a=b",
    }


@pytest.mark.parametrize("peer", [b"198.51.100.1", PROXY])
@pytest.mark.parametrize("trace", [TRACE.decode(), "01-what-comes-after-us", ""])
def test_traces_that_are_not_ours_to_make_are_passed_on_as_they_came(peer: bytes, trace: str) -> None:
    claims = (f"traceparent: {trace}", "tracestate: a=b", "tracestate: c=d")
    caller = told(*claims, peer=peer, trusted=UNTRACED)
    lines = lines_of(caller.lines + identity_lines(caller, ID, SPAN))
    assert (lines["traceparent"], lines["tracestate"]) == (trace, "a=b, c=d")
    assert (lines["x-request-id"], lines["x-forwarded-for"]) == (ID.decode(), peer.decode())


def test_without_traces_none_is_begun() -> None:
    caller = told("X-Request-Id: given", trusted=UNTRACED)
    assert lines_of(identity_lines(caller, ID, SPAN)) == {"x-request-id": "given"}
    assert b"trace" not in caller.lines


def test_an_id_alone_is_kept_beside_a_new_trace() -> None:
    lines = lines_of(identity_lines(told("X-Request-Id: given"), ID, SPAN))
    assert lines == {"x-request-id": "given", "traceparent": f"00-{ID.decode()}-{SPAN.decode()}-01"}


def test_ids_do_not_repeat_in_any_worker() -> None:
    workers = [RequestIds() for _ in range(4)]
    made = [worker.new() for worker in workers for _ in range(1000)]
    assert len({request_id for request_id, _ in made}) == 4000
    assert all(re.fullmatch(rb"[0-9a-f]{32}", request_id) and request_id.endswith(span) for request_id, span in made)
    assert all(re.fullmatch(rb"(?!0{16})[0-9a-f]{16}", span) for _, span in made)


# --- addresses


@given(st.ip_addresses(), st.sampled_from(["{}", '"{}"', " {} ", "port"]))
def test_every_spelling_of_an_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address, spelling: str) -> None:
    if spelling == "port":
        text = f"[{address}]:80" if address.version == 6 else f"{address}:80"
    else:
        text = spelling.format(address)
    assert parse_address(text.encode()) == (getattr(address, "ipv4_mapped", None) or address)


@given(st.binary(max_size=40) | st.text('0123456789.:[]%abcf" ,', max_size=30).map(str.encode))
def test_what_is_no_address_is_none(text: bytes) -> None:
    found = parse_address(text)
    assert found is None or isinstance(found, (ipaddress.IPv4Address, ipaddress.IPv6Address))


VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
NAMES = st.sampled_from(["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via", "tracestate"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=4), st.booleans())
def test_whatever_is_said_our_lines_are_lines_and_the_client_an_address(
    fields: list[tuple[str, str]], trusted: bool
) -> None:
    try:
        caller = told(*(f"{name}: {value}" for name, value in fields), trusted=PROXIES if trusted else NOBODY)
    except RequestError:
        return
    assert lines_of(caller.lines)["via"].endswith("1.1 lb")
    assert str(ipaddress.ip_address(caller.address.decode())).encode() == caller.address
    lines_of(identity_lines(caller, ID, SPAN))


@pytest.mark.parametrize(
    ("address", "is_trusted"),
    [(b"10.9.9.9", True), (b"11.0.0.1", False), (b"192.0.2.1", True), (b"192.0.2.2", False), (b"2001:db8::9", True),
     (b"::ffff:10.0.0.1", True), (b"", False), (b"nonsense", False)],
)  # fmt: skip
def test_who_is_trusted(address: bytes, is_trusted: bool) -> None:
    assert (address in PROXIES) is (address in PROXIES) is is_trusted
    assert address not in NOBODY


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    trusted = TrustedProxies(["10.0.0.0/8"])
    for i in range(10_100):
        assert (b"10.%d.%d.1" % (i // 256, i % 256)) in trusted
    assert len(trusted._known) <= 10_001


@pytest.mark.parametrize("host", [b"x,for=10.0.0.1", b"x;proto=https", b"lb.test:80", b"a=b", b"[::1]:80", b"a'b"])
def test_a_host_never_adds_to_forwarded(host: bytes) -> None:
    said = lines_of(told(peer=b"198.51.100.1", host=host).lines)["forwarded"]
    assert said == f'for=198.51.100.1;host="{host.decode()}";proto=http'
