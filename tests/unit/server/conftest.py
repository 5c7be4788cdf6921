"""The hub, deadlines that pass quickly, and an end to tests that would wait for ever."""

from __future__ import annotations

from tests.unit.proxy.conftest import deadline, hub, patience, sweeper

__all__ = ["deadline", "hub", "patience", "sweeper"]
