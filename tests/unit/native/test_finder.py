"""Which data path runs: a build of these very sources, or the modules as they are written."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from lb.native import finder
from lb.native.finder import COMPILED, SUFFIX, CompiledFinder, build_directory, is_compiled, prefer_compiled


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two sources, without a build, in a process that has looked for none yet."""
    (tmp_path / "proxy").mkdir()
    (tmp_path / "model.py").write_text("X = 1\n")
    (tmp_path / "proxy" / "core.py").write_text("Y = 1\n")
    monkeypatch.setattr(finder, "PACKAGE", str(tmp_path))
    monkeypatch.setattr(finder, "BUILDS", str(tmp_path / "_native"))
    monkeypatch.setattr(finder, "_SOURCES", ("model.py", "proxy"))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delenv("LB_NATIVE", raising=False)
    return tmp_path


def make_build() -> None:
    build = Path(build_directory())
    build.mkdir(parents=True)
    (build / f"lb.proxy.core{SUFFIX}").touch()


def test_without_a_build_modules_run_as_they_are_written(package: Path) -> None:
    prefer_compiled()
    assert not is_compiled()


def test_a_build_of_these_sources_is_taken(package: Path) -> None:
    make_build()
    prefer_compiled()
    assert is_compiled()
    found = sys.meta_path[0].find_spec("lb.proxy.core", None)
    assert found is not None and found.origin == f"{build_directory()}/lb.proxy.core{SUFFIX}"
    assert sys.meta_path[0].find_spec("lb.proxy.tunnel", None) is None


@pytest.mark.parametrize("changed", ["model.py", "proxy/core.py"])
def test_a_build_of_other_sources_is_not(package: Path, changed: str) -> None:
    make_build()
    (package / changed).write_text("X = 2\n")
    prefer_compiled()
    assert not is_compiled()


def test_a_source_more_makes_a_build_stale(package: Path) -> None:
    make_build()
    (package / "proxy" / "front.py").touch()
    prefer_compiled()
    assert not is_compiled()


def test_a_build_can_be_left_aside(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_build()
    monkeypatch.setenv("LB_NATIVE", "0")
    prefer_compiled()
    assert not is_compiled()


def test_one_that_was_made_in_a_hurry_is_for_those_who_ask_for_it(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LB_NATIVE", "quick")
    make_build()
    monkeypatch.delenv("LB_NATIVE")
    prefer_compiled()
    assert not is_compiled() and finder.data_path() == "not compiled: lb native"
    monkeypatch.setenv("LB_NATIVE", "quick")
    prefer_compiled()
    assert is_compiled()


def test_a_build_that_may_not_be_read_is_none(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by root under umask 077, say: the balancer starts as it is written."""
    make_build()

    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    prefer_compiled()
    assert not is_compiled()


def test_what_is_compiled_exists_and_counts() -> None:
    for name in COMPILED:
        assert (Path(finder.PACKAGE).parent / f"{name.replace('.', '/')}.py").is_file(), name
        assert {name.split(".")[1], f"{'/'.join(name.split('.')[1:])}.py"} & set(finder._SOURCES), name


def test_the_tests_themselves_run_the_sources() -> None:
    assert not any(isinstance(one, CompiledFinder) for one in sys.meta_path)
    assert import_module("lb.proxy.stream").__file__ == f"{finder.PACKAGE}/proxy/stream.py"
