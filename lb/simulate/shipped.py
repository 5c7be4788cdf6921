"""Scenarios that come with the package, by name. They are files like a user's own, to be read and copied."""

from __future__ import annotations

from pathlib import Path

SCENARIOS = Path(__file__).parent / "scenarios"


def names() -> list[str]:
    return sorted(file.stem for file in SCENARIOS.glob("*.yaml"))


def path_of(name: str) -> str | None:
    """None: there is none of that name."""
    return str(SCENARIOS / f"{name}.yaml") if name in names() else None


def about(name: str) -> str:
    """Its ``about``, which is its first line."""
    with open(SCENARIOS / f"{name}.yaml", encoding="utf-8") as file:
        return file.readline().removeprefix("about:").strip()
