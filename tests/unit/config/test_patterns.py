"""Regular expressions of routes: the harmless ones pass, no hostile one does."""

from __future__ import annotations

import re
import time

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
    r"v?[0-9]+\.[0-9]+\.[0-9]+",
    r"v?\d+(\.\d+)?(\.\d+)?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?",
    "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "^(foo|bar)-[0-9]{1,3}$",
    ".*bot.*",
    "(?i)googlebot|bingbot",
    "(?i).*(googlebot|bingbot|baiduspider|yandex).*",
    ".*Android.*Mobile.*",
    ".*(bingbot|baiduspider).*(mobile|mini).*",
    r"Mozilla/5\.0 \(.*\) AppleWebKit/[0-9.]+ .*",
    r"(curl|wget|python-requests)/\d+\.\d+(\.\d+)?",
    r"[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}",
    r"\w+\s+\w+\s+\w+",
    r"\S+ \S+ \S+",
    "[^;]+;[^;]+;[^;]+;[^;]+",
    "Bearer [A-Za-z0-9._~+/-]+=*",
    "application/(json|xml)(;.*)?",
    "[a-z]{2}(-[A-Z]{2})?(,.*)?",
    r"https?://[^/]+/[^?]*(\?.*)?",
    "(?!internal).*",
    "(?i:beta|canary)-[^\u20ac]+",
    "(foo|bar){1,1000}",
    "a{1,3}b{1,3}c{1,3}d{1,3}e{1,3}f{1,3}g{1,3}",
    "a?" * 8 + "b",
    ".*,.*;",
]
HOSTILE = [
    "(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}", "([a-z]+)*$", "((a?)*)*", "(x+x+)+y", "(?=(a+)+b)x", r"(a*)\1*",
    "(a{1,30}){1,30}", "(?P<n>a*)*", "(.|a)*", ".*.*.*.*x", "a" * 600,
    "a?" * 26 + "b", "a?" * 9 + "b", "(?:a?){26}b", "(a?){0,26}b", "(?:a?b?){26}c", "(a?|b){20}c", "(a|aa){26}b", "(a|b|ab){26}c",
    ".*,.*,.*;", ".*,[^;]*,.*;", ".*a.*(?=.*b)", ".{0,4000}.{0,4000}.{0,4000}x", r"\w+-?[a-z]+-?[a-z0-9]+!",
    "a{1,30}a{1,30}a{1,30}b", "(x+y?)(x+y?)(x+y?)z", "(foo|bar){0,50}(foo|bar){0,50}(foo|bar){0,50}x", "(?i)[a-m]+[A-M]+[a-m]+z",
    "a*a*b*b*c", r".*.*.*\b", r".*a.*b.*\B", "(?:(?:(?:a?){30}){30}){30}",
]  # fmt: skip
BROKEN = ["(", "[", "a{2,1}", "*a", "(?P<n>a)(?P<n>b)", "a{1,99999999999}", "(?u)a", r"\u0041", "[[a]"]


@pytest.mark.parametrize("text", SAFE)
def test_harmless_patterns(text: str) -> None:
    assert safe_pattern(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_patterns_that_could_take_forever(text: str) -> None:
    with pytest.raises(ValueError, match=r"exponential|too many|longer"):
        safe_pattern(text)


@pytest.mark.parametrize("text", BROKEN)
def test_patterns_that_a_worker_could_not_compile(text: str) -> None:
    with pytest.raises(ValueError, match="does not compile"):
        safe_pattern(text)


@pytest.mark.parametrize("text", ["a?" * 8 + "b", ".*,.*;", "[a-c]+[a-c]*d"])
def test_what_passes_does_not_take_long(text: str) -> None:
    """On what the longest line may hold: those with the most ways of all that pass."""
    hostile = "a," * 4000
    started = time.process_time()
    assert re.compile(safe_pattern(text), re.DOTALL).fullmatch(hostile) is None
    assert time.process_time() - started < 2.0
