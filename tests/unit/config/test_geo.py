"""``geo`` and the policies that ask for it, from the file to the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.config.snapshot import read, write
from lb.geo.countries import DEFAULT_REGIONS
from lb.model import Snapshot
from tests.support.geo import write_database
from tests.unit.config.writing import examined, loaded, mistakes

POOL = "pools: {web: {backends: [http://h:1], policy: geo}}\n"


def test_without_a_word_there_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, "pools: {web: {backends: [http://h:1]}}").geo is None


def test_defaults_and_a_path_beside_the_file(tmp_path: Path) -> None:
    geo = loaded(tmp_path, "geo: {database: geo.mmdb}\n" + POOL).geo
    assert geo is not None
    assert (geo.database, geo.default_region, geo.regions) == (str(tmp_path / "geo.mmdb"), "US", DEFAULT_REGIONS)
    assert geo.nearest["APAC"] == ("APAC", "US", "EU")


def test_all_of_it(tmp_path: Path) -> None:
    text = """\
        geo:
          database: /var/lib/lb/geo.mmdb
          default_region: rest
          regions: {NORDIC: [no, NO, SE], rest: Europe, far: [asia]}
          nearest: {far: NORDIC}
        pools: {web: {backends: [http://h:1], policy: {name: geo, inner: least_connections}}}
        """
    config = loaded(tmp_path, text)
    assert config.geo is not None and config.pools[0].geo_inner == "least_connections"
    assert config.geo.regions == {"NORDIC": ("NO", "NO", "SE"), "rest": ("europe",), "far": ("asia",)}
    assert config.geo.nearest["far"] == ("far", "NORDIC", "rest")


def test_it_reaches_the_workers(tmp_path: Path) -> None:
    config = loaded(tmp_path, "geo: {database: geo.mmdb}\n" + POOL)
    path = str(tmp_path / "snapshot.json")
    write(path, Snapshot(1, config, "/none", {}))
    assert read(path).config == config


@pytest.mark.parametrize(
    ("geo", "mistake"),
    [
        ("{default_region: EU}", "`database`"),
        ("{database: d, default_region: MARS}", "1:36: no region `MARS`: there are EU, APAC, US"),
        ("{database: d, default_region: EUU}", "1:36: no region `EUU`, did you mean `EU`?"),
        ("{database: d, regions: {EU: [UK]}, default_region: EU}", "did you mean `GB`?"),
        ("{database: d, regions: {EU: [EU]}, default_region: EU}", "did you mean `europe`?"),
        ("{database: d, regions: {EU: [eurpe]}, default_region: EU}", "did you mean `europe`?"),
        ("{database: d, regions: {EU: [ZZ]}, default_region: EU}", "expected a country's two letters (ISO 3166-1)"),
        ("{database: d, regions: {A: [DE], B: [DE]}, default_region: A}", "`DE` is in region `A` already"),
        ("{database: d, regions: {}, default_region: A}", "expected 1 to 32 regions, got 0"),
        ("{database: d, nearest: {MARS: [EU]}}", "no region `MARS`"),
        ("{database: d, nearest: {EU: [US, MARS]}}", "no region `MARS`"),
        ("{database: d, regions: {'a/b': [DE]}}", "the name of a region"),
    ],
)
def test_mistakes(tmp_path: Path, geo: str, mistake: str) -> None:
    assert any(mistake in found for found in mistakes(tmp_path, f"geo: {geo}\n{POOL}")), mistakes(
        tmp_path, f"geo: {geo}\n{POOL}"
    )


@pytest.mark.parametrize(
    ("policy", "mistake"),
    [
        ("{name: geo, inner: geo}", "`geo` cannot be within itself"),
        ("{name: geo, inner: geo_aware}", "`geo_aware` cannot be within itself"),
        ("{name: geo, inner: least}", "unknown policy `least`"),
        ("{name: random, inner: random}", "`inner` is an option of the policy `geo`, this pool's is `random`"),
        ("{name: geo, weights: {cpu: 1}}", "`weights` is an option of the policy `adaptive`, this pool's is `geo`"),
        ("{name: geo, inner: random, key: url}", "`key` is an option of the policy"),
    ],
)
def test_options_that_nothing_reads(tmp_path: Path, policy: str, mistake: str) -> None:
    text = f"geo: {{database: d}}\npools: {{web: {{backends: [http://h:1], policy: {policy}}}}}\n"
    assert [mistake in found for found in mistakes(tmp_path, text)] == [True], mistakes(tmp_path, text)


@pytest.mark.parametrize(
    "policy",
    [
        "{name: geo, inner: adaptive, weights: {cpu: 1}}",
        "{name: geo_aware, weights: {cpu: 1}}",
        "{name: geo, inner: maglev, key: url}",
    ],
)
def test_options_of_what_decides_within_a_region(tmp_path: Path, policy: str) -> None:
    assert (
        mistakes(tmp_path, f"geo: {{database: d}}\npools: {{web: {{backends: [http://h:1], policy: {policy}}}}}") == []
    )


def warnings(folder: Path, text: str) -> list[str]:
    return [f"{one.line}:{one.column}: {one.message}" for one in examined(folder, text).warnings]


def test_a_database_that_is_not_there_is_no_mistake(tmp_path: Path) -> None:
    text = "geo: {database: geo.mmdb}\n" + POOL
    path = tmp_path / "geo.mmdb"
    expected = f"1:17: `{path}` does not exist: until it can, every client is in region `US`"
    assert warnings(tmp_path, text) == [expected]
    write_database(path)
    assert warnings(tmp_path, text) == []


def test_regions_that_nobody_knows_are_warned_of(tmp_path: Path) -> None:
    write_database(tmp_path / "d")
    backend = "{url: 'http://h:1', region: EUR}"
    text = f"geo: {{database: d}}\npools: {{web: {{backends: [{backend}], policy: adaptive}}}}\n"
    (found,) = warnings(tmp_path, text)
    assert "`EUR` is no region of `geo`, so this backend is the last to be asked, did you mean `EU`?" in found
    (found,) = warnings(tmp_path, POOL)
    assert "`geo` does not know where clients are without `geo` at the top level" in found


def test_a_contract_table_within_regions_is_not_too_crowded(tmp_path: Path) -> None:
    policy = "{name: geo, inner: contract_hash, contract: {slots: 10, virtual_servers: 9}}"
    text = f"geo: {{database: d}}\npools: {{web: {{backends: [http://h:1, http://h:2], policy: {policy}}}}}\n"
    assert ["need 18 slots" in found for found in mistakes(tmp_path, text)] == [True]
