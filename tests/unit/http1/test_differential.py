"""Row 24: our parsers against others on the same odd bytes. Whatever we take, others must read the same
way; whatever only we refuse is in a table that says why, checked against the bytes themselves.
"""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Callable

import pytest

from tests.conftest import missing
from tests.unit.http1 import oracles
from tests.unit.http1.mutations import BODIES, SEEDS, mutated
from tests.unit.http1.oracles import ORACLES, Reading, read_ours

HEADS = 20_000
ROUNDS = 4
"""Each with a seed of its own."""

Predicate = Callable[[bytes], object]
_known_target = rb"\A[^ ]+ (?:/|https?://(?:[a-z0-9\-._~!$&'()*+,;=]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?[/? ]|(?<=\A(?-i:OPTIONS) )\* )"


def holds(pattern: bytes) -> Predicate:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE).search


def lacks(pattern: bytes) -> Predicate:
    found = holds(pattern)
    return lambda head: not found(head)


def any_of(*predicates: Predicate) -> Predicate:
    return lambda head: any(predicate(head) for predicate in predicates)


def twice(pattern: bytes) -> Predicate:
    found = re.compile(pattern, re.IGNORECASE | re.MULTILINE).findall
    return lambda head: len(found(head)) > 1


def too_high_port(head: bytes) -> bool:
    return any(int(port) > 65535 for port in re.findall(rb"(?i)(?:host:|://)[^\r\n/?]*:([0-9]+)", head))


REFUSED_BY_US: dict[str, Predicate] = {
    # Two lengths, or a transfer coding that is not exactly "chunked", or in HTTP/1.0: two ways to read it.
    "bad_framing": any_of(
        twice(rb"^content-length[ \t]*:"),
        twice(rb"^transfer-encoding[ \t]*:"),
        lacks(rb"^transfer-encoding[ \t]*:[ \t]*chunked[ \t]*\r\n"),
        holds(rb"\A[^\r\n]* HTTP/1\.0\r\n"),
        lambda head: re.search(rb"(?im)^content-length:", head) and re.search(rb"(?im)^transfer-encoding:", head),
    ),
    "unknown_coding": any_of(
        lacks(rb"^transfer-encoding[ \t]*:[ \t]*chunked[ \t]*\r\n"), twice(rb"^transfer-encoding:")
    ),
    # Others leave Host to the application: none, two, or one that no host has.
    "bad_host": any_of(
        twice(rb"^host[ \t]*:"),
        lacks(
            rb"^host:[ \t]*(?:[a-z0-9\-._~!$&'()*+,;=]+|\[[0-9a-f:.]+\])(?::[0-9]{0,4})?[ \t]*\r\n(?=[\s\S]*\r\n\r\n)"
        ),
        lacks(rb"\A(?:[^\r\n]+\r\n)+host:"),
        too_high_port,
    ),
    # h11 takes LF for CRLF and folds; some take control bytes, "#", "\", several spaces.
    "bad_request": any_of(
        holds(rb"(?<!\r)\n|\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r\n[ \t]|\A\r\n"),
        lacks(rb"\A[!#$%&'*+\-.^_`|~0-9a-z]+ [\x21-\x7e]+ HTTP/1\.[01]\r\n"),
        holds(rb"\A[^ ]+ [^ ]*[#\\]"),
        holds(rb"^(?:[^:\r\n]*[^!#$%&'*+\-.^_`|~0-9a-z:\r\n][^:\r\n]*)?:|^[^:\r\n]+\r\n"),
    ),
    "bad_target": any_of(lacks(_known_target), too_high_port),
    "bad_version": lacks(rb"\A[^\r\n]* HTTP/1\.[01]\r\n"),
    "method_not_allowed": holds(rb"\A(?-i:CONNECT|TRACE) "),
    "expectation_failed": lacks(rb"\A(?:(?!expect:).*\r\n|expect:[ \t]*100-continue[ \t]*\r\n)*\Z"),
    "body_too_large": holds(rb"^content-length:[ \t]*[0-9]{19,}"),
    "head_too_large": lambda head: head.count(b"\r\n") > 100 or len(head) > 8190,
    "uri_too_long": lambda head: len(head) > 8190,
    "incomplete": lacks(rb"\r\n\r\n"),
}

REFUSED_BY_OTHERS: dict[str, Predicate] = {
    "h11": lambda head: False,
    # A list of known methods; no tab behind "chunked".
    "httptools": any_of(
        lacks(rb"\A(?-i:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) "), holds(rb"^transfer-encoding:[ \t]*chunked *\t")
    ),
    # Methods of 3 to 20 capitals; a second Content-Type.
    "gunicorn_h1c": any_of(
        lambda head: not re.match(rb"[A-Z0-9$\-_.]{3,20} ", head) or re.match(rb"[^ ]*[^A-Z]", head),
        twice(rb"^content-type:"),
    ),
}


def comparable(reading: Reading) -> Reading:
    """h11 gives transfer codings in lower case, which they are meant to be compared in."""
    fields = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in reading.fields]
    return Reading(reading.method, reading.target, tuple(fields), reading.length)


def test_all_judges_are_there() -> None:
    if "gunicorn_h1c" not in ORACLES:
        missing(f"gunicorn_h1c is not in {oracles.BESIDE}: h11 and httptools judge alone (tools/setup.sh test)")
    assert not importlib.util.find_spec("gunicorn_h1c"), "it judges; gunicorn must not find it"


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_heads_are_read_as_others_read_them(seed: int) -> None:
    outcomes: Counter[str] = Counter()
    for head in mutated(SEEDS, HEADS // ROUNDS, seed):
        ours = read_ours(head)
        if isinstance(ours, str):
            readers = [name for name, read in ORACLES.items() if read(head)]
            outcomes["refused by all" if not readers else f"only by us: {ours}"] += 1
            assert not readers or REFUSED_BY_US[ours](head), (ours, readers, head)
        else:
            outcomes["taken"] += 1
            _compare(head[: head.index(b"\r\n\r\n") + 4], ours[1])
    assert outcomes["taken"] > HEADS / ROUNDS / 10
    assert outcomes["refused by all"] > HEADS / ROUNDS / 10


def _compare(head: bytes, ours: Reading) -> None:
    for name, read in ORACLES.items():
        theirs = read(head)
        if theirs is None:
            assert REFUSED_BY_OTHERS[name](head), (name, head)
        else:
            assert comparable(theirs) == comparable(ours), (name, head)


def test_bodies_are_read_as_others_read_them() -> None:
    """A payload that we take is the payload that others find in it; h11 never refuses what we take."""
    taken = 0
    for wire in mutated(BODIES, 5_000, 24):
        ours = oracles.body_ours(wire)
        if ours is None:
            continue
        taken += 1
        assert oracles.body_h11(wire) == ours, wire
        assert oracles.body_httptools(wire) in (ours, None), wire
    assert taken > 500


def test_disguised_transfer_encodings_are_never_taken_for_something_else() -> None:
    """Every byte at every edge of the line: it is chunked, it is another field, or it is refused (row 3)."""
    line = b"Transfer-Encoding: chunked"
    edges = [0, 8, 9, 17, 18, 19, 20, len(line)]
    for at in edges:
        for byte in range(256):
            odd = line[:at] + bytes((byte,)) + line[at:]
            head = b"POST / HTTP/1.1\r\nHost: x\r\n" + odd + b"\r\n\r\n"
            ours = read_ours(head)
            if isinstance(ours, str):
                continue
            parsed, reading = ours
            assert parsed.fields.chunked == (reading.fields[1] == (b"transfer-encoding", b"chunked")), head
            if not parsed.fields.chunked:
                assert reading.fields[1][0] != b"transfer-encoding", head
                assert b"_" not in odd.split(b":")[0] or odd not in parsed.fields.kept, head
