"""The normal form of a path, and which paths are read in several ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config.route_checks import url_path
from lb.config.url_paths import find_ambiguity, normal_path
from tests.support.url_paths import ANY_PATH, as_an_origin_reads

# --- the path as an origin understands it


@given(ANY_PATH)
def test_a_normal_path_is_read_as_the_path_itself(path: bytes) -> None:
    assert as_an_origin_reads(normal_path(path)) == as_an_origin_reads(path)


@given(ANY_PATH)
def test_a_normal_path_is_in_normal_form(path: bytes) -> None:
    assert normal_path(normal_path(path)) == normal_path(path)


@given(st.binary(max_size=40))
def test_no_path_is_too_odd(path: bytes) -> None:
    assert isinstance(normal_path(path), bytes)


@pytest.mark.parametrize("code", range(256))
def test_a_route_can_be_written_for_every_character(code: int) -> None:
    """In one spelling, which is the one that the router compares; but for a star, which would look like a wildcard."""
    compared = normal_path(b"/x%%%02x" % code).decode()
    written = compared.replace("*", "%2A")
    assert url_path(written) == compared
    for other in {f"/x%{code:02x}", f"/x%{code:02X}"} - {written}:
        with pytest.raises(ValueError, match="can never match, paths are compared in normal form: write `"):
            url_path(other)


# --- what is read in several ways


@pytest.mark.parametrize(
    "path",
    [
        "/", "/a", "/a/", "/a/b.c/d", "/.well-known/x", "/a..", "/..a", "/a/.b/..c", "/%61", "/a%2Eb", "/a%2e",
        "/caf%C3%A9", "/%E0%A0%80", "/%F0%9F%98%80", "/a%20b", "/@scope/x", "/%40scope/x", "/a:b", "/a+b=c,d&e",
        "/(a)'!*~$", "/%5Bslug%5D", "/50%C2%A0", "*",
    ],
)  # fmt: skip
def test_ordinary_paths_are_read_in_one_way(path: str) -> None:
    assert find_ambiguity(path.encode()) is None


@pytest.mark.parametrize(
    ("path", "because"),
    [
        ("/a%2Fb", "%2F"),
        ("/a%2fb", "%2f"),
        ("/a%5cb", "%5c"),
        ("/a%5C", "%5C"),
        ("/a%00", "%0"),
        ("/a%0d%0a", "%0"),
        ("/a%1Fb", "%1"),
        ("/a%7f", "%7f"),
        ("/a%25b", "%25"),
        ("/%2561", "%25"),
        ("/100%", "%"),
        ("/a%zz", "%"),
        ("/%%32f", "%"),
        ("/%u002f", "%"),
        ("/a%3bx", "%3b"),
        ("/a%3Fx", "%3F"),
        ("/a%23x", "%23"),
        ("/a;x", ";"),
        ("/a;jsessionid=1/b", ";"),
        ("//a", "//"),
        ("/a//", "//"),
        ("/./a", "/./"),
        ("/a/..", "/.."),
        ("/a/%2e%2E/b", "/%2e%2E/"),
        ("/a/.%2e", "/.%2e"),
        ("/a/%2e", "/%2e"),
        ("/%c0%af", "%c0"),
        ("/%C1%9C", "%C1"),
        ("/%E0%80%AF", "%E0%8"),
        ("/%f0%80%80%af", "%f0%8"),
        ("/a|b", "|"),
        ("/{a}", "{"),
        ("/[a]", "["),
        ("/a`", "`"),
        ("/a^b", "^"),
        ('/"a"', '"'),
        ("/<a>", "<"),
    ],
)
def test_what_is_read_in_several_ways_is_found(path: str, because: str) -> None:
    found = find_ambiguity(path.encode())
    assert found is not None
    assert found[0].decode() == because


DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"


def documented() -> list[tuple[str, bool]]:
    """The spellings in the table of docs/configuration.md that stand for a whole path, and whether it says 400."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Paths that read two ways")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return [(path, "400" in row[-1]) for row in rows for path in re.findall(r"`(/[^` ]+)`", row[0])]


def test_the_documented_spellings_are_refused() -> None:
    assert len(documented()) >= 15
    for path, is_refused in documented():
        assert bool(find_ambiguity(path.encode())) is is_refused, path
