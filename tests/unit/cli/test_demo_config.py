"""The demo's configuration comes with the package."""

from __future__ import annotations

from pathlib import Path

from lb.cli import demo

PROJECT = Path(__file__).parents[3]


def test_it_is_the_repositorys_own() -> None:
    inside = Path(demo.__file__).with_name("demo.yaml")
    assert inside.is_symlink()
    assert demo.CONFIG == inside.resolve() == PROJECT / "lb.yaml"
    assert '"lb.cli" = ["demo.yaml"]' in (PROJECT / "pyproject.toml").read_text()
