"""The copy of the geo database: what is wrong with the file never reaches a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from lb.geo.writer import database
from lb.state.geo_file import GeoFileError, built_s, copy_path, open_copy, remove_others, renew, signature
from tests.support.geo import write_database

PLACE = IPv4Address("203.0.113.9")


def country_of(source: Path, state_dir: Path) -> str:
    return open_copy(str(source), str(state_dir)).place_of(PLACE)[0]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_database(tmp_path / "GeoLite2-Country.mmdb", built_s=1_600_000_000)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def test_a_good_file_is_copied_and_one_that_is_the_same_is_not_written_again(source: Path, state: Path) -> None:
    renew(str(source), str(state))
    assert country_of(source, state) == "DE"
    assert built_s(str(source), str(state)) == 1_600_000_000
    before = signature(copy_path(str(source), str(state)))
    renew(str(source), str(state))
    assert signature(copy_path(str(source), str(state))) == before
    assert len(list(state.iterdir())) == 1


def test_without_a_file_there_is_no_copy(tmp_path: Path, state: Path) -> None:
    with pytest.raises(GeoFileError, match="cannot be read: No such file"):
        renew(str(tmp_path / "none.mmdb"), str(state))
    assert built_s(str(tmp_path / "none.mmdb"), str(state)) is None
    assert list(state.iterdir()) == []


def asn() -> bytes:
    return database({"203.0.113.0/24": {"autonomous_system_number": 64500}}, kind="GeoLite2-ASN", built_s=1)


@pytest.mark.parametrize("raw", [b"", os.urandom(4096), asn(), None], ids=["empty", "random", "asn", "truncated"])
def test_a_bad_file_leaves_the_last_copy(source: Path, state: Path, raw: bytes | None) -> None:
    renew(str(source), str(state))
    source.write_bytes(source.read_bytes()[:300] if raw is None else raw)
    with pytest.raises(GeoFileError):
        renew(str(source), str(state))
    assert country_of(source, state) == "DE"
    write_database(source, {"203.0.113.0/24": "FR"})
    renew(str(source), str(state))
    assert country_of(source, state) == "FR"
    assert len(list(state.iterdir())) == 1


def test_a_pipe_is_not_waited_for(tmp_path: Path, state: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GeoFileError, match="is not a file"):
        renew(str(tmp_path / "pipe"), str(state))


def test_a_directory_that_cannot_be_written_is_said(source: Path, tmp_path: Path) -> None:
    with pytest.raises(GeoFileError, match="cannot be written"):
        renew(str(source), str(tmp_path / "none"))


def test_only_the_copy_of_the_file_in_use_stays(source: Path, state: Path, tmp_path: Path) -> None:
    other = write_database(tmp_path / "other.mmdb")
    for path in (source, other):
        renew(str(path), str(state))
    remove_others(str(other), str(state))
    assert [str(path) for path in state.iterdir()] == [copy_path(str(other), str(state))]
    remove_others("", str(state))
    assert list(state.iterdir()) == []


READER = """
import os, sys
from ipaddress import IPv4Address
from lb.geo.database import Database
source, read = sys.argv[1:]
database = Database(read)
os.truncate(source, 0)
print(database.place_of(IPv4Address("203.0.113.9"))[0])
"""


def truncated_while_read(source: Path, read: str) -> tuple[int, str]:
    command = [sys.executable, "-c", READER, str(source), read]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_a_file_truncated_in_place_kills_nobody_who_reads_the_copy(source: Path, state: Path) -> None:
    renew(str(source), str(state))
    assert truncated_while_read(source, copy_path(str(source), str(state))) == (0, "DE\n")


def test_it_would_kill_who_reads_the_file_itself(source: Path) -> None:
    """Why there is a copy."""
    assert truncated_while_read(source, str(source)) == (-signal.SIGBUS, "")
