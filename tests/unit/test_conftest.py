"""A missing component: a skip that says what to install, and a failure on CI."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def test_a_program_that_is_there_is_found(requires: Callable[[str], str]) -> None:
    assert requires("sh").endswith("/sh")


def test_a_missing_program_is_a_skip_at_home(requires: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install no-such-program"):
        requires("no-such-program")


def test_a_missing_program_is_a_failure_on_ci(requires: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install no-such-program"):
        requires("no-such-program")
