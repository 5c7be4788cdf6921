"""The ``sticky`` section, from the file to the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.model import Sticky
from tests.unit.config.writing import examined, loaded, mistakes

KEY = "0123456789abcdef"


def sticky(folder: Path, text: str, **environ: str) -> Sticky | None:
    return loaded(folder, f"pools:\n  web: {{backends: [http://h:1], sticky: {text}}}\n", environ).pools[0].sticky


def test_without_a_word(tmp_path: Path) -> None:
    assert loaded(tmp_path, "pools: {web: {backends: [http://h:1]}}\n").pools[0].sticky is None


def test_a_name_is_enough(tmp_path: Path) -> None:
    assert sticky(tmp_path, "route") == Sticky("route")
    assert sticky(tmp_path, "{}") == Sticky("lb_backend")


def test_all_of_it(tmp_path: Path) -> None:
    text = f"""{{cookie: __Secure-b, key: ["{KEY}", "{KEY}2"], path: /shop, domain: .example.com, max_age: 1h, secure: true,
      http_only: false, same_site: none}}"""
    wanted = Sticky("__Secure-b", (KEY, KEY + "2"), "/shop", ".example.com", 3600.0, True, False, "none")
    assert sticky(tmp_path, text) == wanted


def test_a_key_that_is_not_set_is_none(tmp_path: Path) -> None:
    found = sticky(tmp_path, '{key: "${LB_STICKY_KEY:-}", max_age: session, secure: auto}')
    assert found == Sticky("lb_backend")
    assert sticky(tmp_path, '{key: "${LB_STICKY_KEY:-}"}', LB_STICKY_KEY=KEY) == Sticky("lb_backend", (KEY,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{cookie: "a b"}', "expected the name of a cookie, got `a b`"),
        ("{key: short-one}", "expected a key of 16 visible ASCII characters or more"),
        ("{path: shop}", "expected a path such as /shop, got `shop`"),
        ('{path: "/a;b"}', "expected a path such as /shop, got `/a;b`"),
        ('{domain: "a b"}', "expected a domain such as example.com, got `a b`"),
        ("{max_age: 10ms}", "expected 1s or more, or `session`"),
        ("{secure: never}", "expected true or false, got `never`"),
        ("{same_site: lxa}", "expected one of lax, strict, none, unset, got `lxa`, did you mean `lax`?"),
        ("{secure: false, same_site: none}", "browsers refuse a cookie with `same_site: none` that is not `secure`"),
        ("{cookie: __Host-b, path: /x}", "browsers refuse a cookie `__Host-b` with a `path`"),
        ("{cookie: __Host-b, secure: no}", "browsers refuse a cookie with the name `__Host-b` that is not `secure`"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    [found] = mistakes(tmp_path, f"pools:\n  web:\n    backends: [http://h:1]\n    sticky: {text}\n")
    assert found.startswith("4:")
    assert found.partition(": ")[2] == message


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    assert "hunter2" not in "".join(
        mistakes(tmp_path, "pools: {web: {backends: [http://h:1], sticky: {key: hunter2}}}\n")
    )


def test_machines_without_a_key_in_common_are_warned_of(tmp_path: Path) -> None:
    file = "state: {redis: 'redis://h:6379'}\npools:\n  web:\n    backends: [http://h:1]\n    sticky: %s\n"
    [warning] = examined(tmp_path, file % "b").warnings
    assert (warning.line, "need the same `key`" in warning.message) == (5, True)
    assert not examined(tmp_path, file % f'{{key: "{KEY}"}}').warnings


def test_how_long_addresses_are_remembered(tmp_path: Path) -> None:
    web = "pools:\n  web: {backends: [http://h:1], policy: {name: %s, remember: %s}}\n"
    assert loaded(tmp_path, web % ("sticky_round_robin", "1h")).pools[0].remember_s == 3600.0
    [wrong] = mistakes(tmp_path, web % ("random", "1h"))
    assert "`remember` is an option of the policy `sticky_round_robin`, this pool's is `random`" in wrong
    [long] = mistakes(tmp_path, web % ("sticky_round_robin", "13h"))
    assert "expected 2s to 12h" in long
