"""Plugins that gevent asks for while it patches: the same as without us, from one reading."""

from __future__ import annotations

from importlib import metadata

import pytest

from lb.supervisor.patching import distributions_read_once


def test_the_same_entry_points_from_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {group: list(metadata.entry_points(group=group)) for group in ("console_scripts", "pytest11", "none")}
    readings = []
    distributions = metadata.distributions
    monkeypatch.setattr(metadata, "distributions", lambda: readings.append(1) or distributions())
    before = metadata.entry_points
    with distributions_read_once():
        assert {group: list(metadata.entry_points(group=group)) for group in expected} == expected
    assert len(readings) == 1 and metadata.entry_points is before
    assert expected["console_scripts"] and not expected["none"]


def test_what_was_there_is_there_again_after_an_error() -> None:
    before = metadata.entry_points
    with pytest.raises(OSError), distributions_read_once():
        raise OSError
    assert metadata.entry_points is before
