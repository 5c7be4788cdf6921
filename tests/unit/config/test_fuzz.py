"""Whatever a file holds, ``load`` gives a configuration or a ConfigError, never anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lb.config import snapshot
from lb.config.load import examine, load
from lb.config.schema import Schema
from lb.config.schema_listeners import ListenerEntry
from lb.config.schema_policy import PolicyEntry
from lb.config.schema_pools import BackendEntry, HealthEntry, PoolEntry, RetryEntry
from lb.config.schema_routes import RouteEntry
from lb.errors import ConfigError
from lb.model import Snapshot

ENVIRON = {"A": "1", "B": "", "C": "${A}"}
_WORDS = st.sampled_from(
    [
        "web", "http://h:1", "https://[::1]", "unix:/x", "0.0.0.0:80", "[::]:80", "2s", "5", "64KiB", "20%", "3/s", "on",
        "none", "auto", "GET", "/a", "/a/b", "*.x.y", "x.y", "x.y:80", "${A}", "${B:-web}", "${N}", "$$", "$", "a\nb",
        "10.0.0.0/8", "2xx", "(a+)+", "[", "adaptive", "random", "metrics", "tcp", "http", "\0", "\ud7ff", "http://h:1/",
    ]
)  # fmt: skip
_leaves = st.one_of(_WORDS, st.text(max_size=6), st.integers(), st.booleans(), st.none(), st.floats())
_any = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3))


def _section(kind: Any, **keys: Any) -> st.SearchStrategy[Any]:
    """A mapping with keys that the schema knows, whatever their values are."""
    known = {name: keys.get(name, _any) for name in kind.model_fields}
    return st.fixed_dictionaries({}, optional=known) | _any


_backend = _section(BackendEntry)
_pool = _section(
    PoolEntry,
    backends=st.lists(_backend, max_size=3),
    policy=_section(PolicyEntry),
    health=_section(HealthEntry),
    retry=_section(RetryEntry),
)
_document = _section(
    Schema,
    pools=st.dictionaries(st.sampled_from(["web", "api", "x y"]), _pool, max_size=2),
    routes=st.lists(_section(RouteEntry), max_size=4),
    listeners=st.dictionaries(st.sampled_from(["traffic", "admin", "x"]), _section(ListenerEntry), max_size=3),
)


def _outcome(path: Path) -> None:
    try:
        config = load(str(path), ENVIRON)
    except ConfigError as error:
        assert error.problems
        assert all(problem.isprintable() and problem.startswith(f"{path}:") for problem in error.problems)
        assert not examine(str(path), ENVIRON).config
    else:
        whole = Snapshot(1, config, "", {})
        snapshot.write(f"{path}.json", whole)
        assert snapshot.read(f"{path}.json") == whole


_quiet = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_quiet
@given(document=_document)
def test_documents_that_are_nearly_right(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "lb.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    _outcome(path)


@_quiet
@given(raw=st.one_of(st.binary(max_size=60), st.text("pools: {}[]&*!|>#\n-'\"\\ab<?%@`,", max_size=60).map(str.encode)))
def test_bytes_that_are_hardly_yaml(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "lb.yaml"
    path.write_bytes(raw)
    _outcome(path)
