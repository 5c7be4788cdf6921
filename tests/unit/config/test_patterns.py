"""Regular expressions of routes: the harmless ones pass, no hostile one does."""

from __future__ import annotations

import pytest

from lb.config.patterns import safe_pattern

SAFE = [
    "abc",
    "^Mozilla/.*Chrome.*$",
    r"(\d{1,3}\.){3}\d{1,3}",
    "(foo|bar)*",
    "v[0-9]+",
    "(?i)beta",
    "(a|b|c)?x",
    r"2\.[0-9]+",
]
HOSTILE = [
    "(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}", "([a-z]+)*$", "((a?)*)*", "(x+x+)+y", "(?=(a+)+b)x", r"(a*)\1*",
    "(a{1,30}){1,30}", "(?P<n>a*)*", "(.|a)*", ".*.*.*.*x", "a" * 600,
]  # fmt: skip
BROKEN = ["(", "[", "a{2,1}", "*a", "(?P<n>a)(?P<n>b)", "a{1,99999999999}", "(?u)a", r"\u0041", "[[a]"]


@pytest.mark.parametrize("text", SAFE)
def test_harmless_patterns(text: str) -> None:
    assert safe_pattern(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_patterns_that_could_take_forever(text: str) -> None:
    with pytest.raises(ValueError, match=r"exponential|unbounded|longer"):
        safe_pattern(text)


@pytest.mark.parametrize("text", BROKEN)
def test_patterns_that_a_worker_could_not_compile(text: str) -> None:
    with pytest.raises(ValueError, match="does not compile"):
        safe_pattern(text)
