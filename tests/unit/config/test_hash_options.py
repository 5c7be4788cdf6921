"""Options of the hash policies, from the file to the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.config import names
from lb.config.snapshot import read, write
from lb.model import ContractOptions, HashKey, HashOptions, Snapshot, TableKind
from tests.unit.config.writing import loaded, mistakes


def hash_options(folder: Path, policy: str, routes: str = "") -> HashOptions:
    return loaded(folder, f"pools:\n  web: {{backends: [http://h:1], policy: {policy}}}\n{routes}").pools[0].hash


def test_without_a_word(tmp_path: Path) -> None:
    assert hash_options(tmp_path, "consistent_hash") == HashOptions()
    assert hash_options(tmp_path, "round_robin") == HashOptions()


def test_all_of_them(tmp_path: Path) -> None:
    policy = """{name: consistent_hash, table: contract, key: {header: X-User}, bounded_load: 1.25, contract:
      {slots: 1024, virtual_servers: 12, probing: quadratic, request_hash: [0, 3, 17], server_hash: crc32}}"""
    contract = ContractOptions(1024, 12, "quadratic", (0, 3, 17), ())
    assert hash_options(tmp_path, policy) == HashOptions(
        "contract", HashKey("header", "x-user"), 1.25, contract=contract
    )


@pytest.mark.parametrize(("key", "expected"), [("url", HashKey("url")), ("{cookie: sid}", HashKey("cookie", "sid"))])
def test_keys(tmp_path: Path, key: str, expected: HashKey) -> None:
    assert hash_options(tmp_path, f"{{name: maglev, key: {key}}}").key == expected


def test_none_is_no_bound(tmp_path: Path) -> None:
    assert hash_options(tmp_path, "{name: maglev, bounded_load: none}").bounded_load is None


def test_functions_by_name_are_their_coefficients(tmp_path: Path) -> None:
    named = "{name: contract_hash, contract: {request_hash: squareless, server_hash: contract}}"
    contract = hash_options(tmp_path, named).contract
    assert (contract.request_hash, contract.server_hash) == ((0, 3, 17), (1, 0, 1, 2, 25))


def test_a_route_or_a_client_may_use_what_the_pool_does_not(tmp_path: Path) -> None:
    web = "pools:\n  web: {backends: [http://h:1], policy: {name: random, key: path, maglev: {slots: 101}}}\n"
    assert mistakes(tmp_path, web + "routes: [{pool: web, policy: maglev}]\n") == []
    assert mistakes(tmp_path, web + "routes: [{pool: web, algo_override: true}]\n") == []
    assert len(mistakes(tmp_path, web + "routes: [{pool: web, policy: ring_hash}]\n")) == 1


def test_they_reach_the_workers(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        "pools: {web: {backends: [http://h:1], policy: {name: contract_hash, key: {query: q}, bounded_load: 2}}}",
    )
    path = str(tmp_path / "snapshot.json")
    write(path, Snapshot(1, config, "/none", {}))
    assert read(path).config == config


def test_tables_by_name() -> None:
    assert set(names.TABLES) == set(TableKind.__args__)  # type: ignore[attr-defined]
    assert set(names.HASH_TABLES) <= set(names.POLICIES)
