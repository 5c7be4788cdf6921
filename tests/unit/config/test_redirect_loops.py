"""Redirects that lead to themselves, and those that only look like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import SMALLEST, examined

TO_HTTPS = "redirect: 'https://{host}{path}{query}'"
TO_ITSELF = "this redirect leads to itself: the route takes what it redirects to"


def warned(folder: Path, *routes: str) -> list[str]:
    """Each as ``LINE:COLUMN: message``, but for the pool that nothing uses."""
    text = SMALLEST + "routes:\n" + "".join(f"  - {route}\n" for route in routes)
    report = examined(folder, text + "trusted_proxies: 127.0.0.1\n")  # so that clients come by either scheme
    assert report.problems == ()
    return [f"{one.line}:{one.column}: {one.message}" for one in report.warnings if "is not used" not in one.message]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (TO_HTTPS, "leads to itself for a client that speaks https already: `scheme: http` leaves those out"),
        ("redirect: 'http://{hostport}{path}'", "for a client that speaks http already: `scheme: https` leaves those out"),
        ("redirect: {to: 'HTTPS://{host}', status: 301}", "for a client that speaks https already"),
        ("host: [a.b, '*.c'], redirect: 'https://www.c{path}'", "for a client that speaks https already"),
        ("scheme: https, " + TO_HTTPS, TO_ITSELF),
        ("redirect: '{scheme}://{host}{path}{query}'", TO_ITSELF),
        ("redirect: '{path}'", TO_ITSELF),
        ("exact: /a, redirect: /a", TO_ITSELF),
        ("path: /docs, redirect: '/docs/index.html?x'", TO_ITSELF),
        ("redirect: /closed", TO_ITSELF),
    ],
)  # fmt: skip
def test_it_is_said(tmp_path: Path, rule: str, expected: str) -> None:
    [warning] = warned(tmp_path, "{exact: /health, action: health}", f"{{{rule}}}")
    place, _, message = warning.partition(": ")
    assert place == f"4:{5 + 1 + rule.index('redirect')}"
    assert expected in message


@pytest.mark.parametrize(
    "routes",
    [
        ["{scheme: http, " + TO_HTTPS + "}", "{pool: web}"],
        ["{scheme: https, pool: web}", "{" + TO_HTTPS + "}"],
        ["{exact: /closed, respond: {body: x}}", "{redirect: /closed}"],
        ["{exact: /old, redirect: 'https://{host}/new'}"],
        ["{path: /docs, redirect: /documents}"],
        ["{path: /old, redirect: '/new{path}'}"],
        ["{host: a.b, redirect: 'https://www.a.b{path}'}"],
        ["{redirect: 'https://www.a.b{path}'}"],
        ["{redirect: '//{host}{path}'}"],
        ["{host: 'a.b:8443', " + TO_HTTPS + "}"],
        ["{query: {old: true}, redirect: '{path}'}"],
        ["{headers: {X-Old: true}, redirect: '{path}'}"],
        ["{methods: POST, redirect: {to: '{path}', status: 303}}"],
        ["{redirect: '?x=1'}"],
    ],
)
def test_others_are_left_alone(tmp_path: Path, routes: list[str]) -> None:
    assert warned(tmp_path, *routes) == []
