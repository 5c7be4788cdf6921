"""Tables of hash policies as files: built by who publishes, the same when mapped, and never trusted when damaged."""

from __future__ import annotations

import dataclasses
import logging
from itertools import islice
from pathlib import Path

import pytest

from lb.model import Backend, Config, HashOptions, Pool, Route, State, TableKind
from lb.policies.tables import Table, Wanted, build_table, wanted
from lb.state import tables
from lb.state.tables import MappedTables
from lb.structs import replace

KINDS: tuple[TableKind, ...] = ("ring", "maglev", "rendezvous", "contract")
KEYS = [b"10.0.%d.%d" % (n >> 6, n & 63) for n in range(300)]
BACKENDS = tuple(Backend(id=f"b{n}", host="127.0.0.1", port=5001 + n, weight=n % 3) for n in range(7))


def config_of(policy: str, *routes: Route, backends: tuple[Backend, ...] = BACKENDS) -> Config:
    pool = Pool(id="web", backends=backends, policy=policy)
    return Config("test", (), (pool,), (Route(id="all", action="pool", pool="web"), *routes), State(dir="unused"))


def first_choices(table: Table) -> list[list[int]]:
    return [list(islice(table.candidates(key), 5)) for key in KEYS]


def files(state_dir: Path) -> list[Path]:
    return sorted((state_dir / "tables").iterdir())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_mapped_is_what_would_have_been_built(kind: TableKind, tmp_path: Path) -> None:
    needed = wanted(kind, HashOptions(), BACKENDS, are_alike=False)
    assert tables.find(str(tmp_path), needed) is None
    config = config_of("consistent_hash")
    config = replace(config, pools=(replace(config.pools[0], hash=HashOptions(table=kind)),))
    tables.prepare(str(tmp_path), config)
    found = tables.find(str(tmp_path), needed)
    assert found is not None
    assert first_choices(found) == first_choices(build_table(needed))


def test_only_what_can_be_picked_by_is_built(tmp_path: Path) -> None:
    tables.prepare(str(tmp_path), config_of("peak_ewma"))
    assert not list(tmp_path.iterdir())
    tables.prepare(str(tmp_path), config_of("peak_ewma", Route(id="x", action="pool", pool="web", policy="maglev")))
    assert len(files(tmp_path)) == 1
    tables.prepare(str(tmp_path), config_of("peak_ewma", Route(id="x", action="pool", pool="web", algo_override=True)))
    assert len(files(tmp_path)) == 3  # ring, Maglev, contract


def test_what_decides_within_a_region_has_its_table_too(tmp_path: Path) -> None:
    config = config_of("geo")
    tables.prepare(str(tmp_path), replace(config, pools=(replace(config.pools[0], geo_inner="maglev"),)))
    assert len(files(tmp_path)) == 1


def test_what_is_there_is_not_built_again_and_what_nobody_needs_goes(tmp_path: Path) -> None:
    old, new = config_of("maglev"), config_of("maglev", backends=BACKENDS[1:])
    tables.prepare(str(tmp_path), old)
    (first,) = files(tmp_path)
    written = first.stat().st_mtime_ns
    tables.prepare(str(tmp_path), old)
    assert first.stat().st_mtime_ns == written
    tables.prepare(str(tmp_path), new)
    tables.prune(str(tmp_path), (new, old))
    assert len(files(tmp_path)) == 2
    tables.prune(str(tmp_path), (new,))
    assert len(files(tmp_path)) == 1 and not first.exists()


@pytest.mark.parametrize("damage", [b"", b"lbTABLE1", b"x" * 5000])
def test_a_damaged_file_is_no_table_and_is_written_anew(damage: bytes, tmp_path: Path) -> None:
    config = config_of("maglev")
    needed = wanted("maglev", HashOptions(), BACKENDS, are_alike=False)
    tables.prepare(str(tmp_path), config)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for broken in (damage, whole[:-4], whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(broken)
        assert tables.find(str(tmp_path), needed) is None
    tables.prepare(str(tmp_path), config)
    assert file.read_bytes() == whole


def test_a_worker_without_files_builds_what_it_needs_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    needed = wanted("ring", HashOptions(), BACKENDS, are_alike=False)
    with caplog.at_level(logging.WARNING, "lb.tables"):
        table = MappedTables(str(tmp_path))(needed)
    assert first_choices(table) == first_choices(build_table(needed))
    assert "table=ring members=7 built_here_ms=" in caplog.text


def test_a_table_depends_on_what_it_is_made_of_and_nothing_else() -> None:
    ring = Wanted("ring", HashOptions(), (("a", 1), ("b", 1)))
    assert ring.digest == dataclasses.replace(ring, options=HashOptions(bounded_load=1.5, maglev_size=101)).digest
    others = [
        dataclasses.replace(ring, options=HashOptions(points=80)),
        dataclasses.replace(ring, kind="rendezvous"),
        dataclasses.replace(ring, shares=(("a", 1), ("b", 2))),
        dataclasses.replace(ring, shares=(("b", 1), ("a", 1))),
    ]
    assert len({ring.digest, *(other.digest for other in others)}) == 5
