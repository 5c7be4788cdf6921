"""Clients are remembered by all workers of a machine, for a time, in a table that does not grow."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.state import clients as clients_module
from lb.state.clients import CELLS, LONGEST_S, Clients, open_table, private_table
from tests.support.scripted import FakeClock

BACKENDS = ("a", "b", "c")
KEEP_S = 60.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def remembering(
    clock: FakeClock, table: memoryview, pool: str = "web", backends: tuple[str, ...] = BACKENDS
) -> Clients:
    return Clients(pool, backends, KEEP_S, lambda: table, clock)


def address(number: int) -> bytes:
    return b"2001:db8::%x" % number


def test_who_was_here_is_known_to_every_worker(clock: FakeClock, tmp_path: Path) -> None:
    path = str(tmp_path / "clients")
    one, other = (remembering(clock, open_table(path)) for _ in range(2))
    assert other.recall(b"192.0.2.1") == -1
    one.remember(b"192.0.2.1", 2)
    assert (other.recall(b"192.0.2.1"), other.recall(b"192.0.2.2")) == (2, -1)
    other.remember(b"192.0.2.1", 0)
    assert one.recall(b"192.0.2.1") == 0
    status = os.stat(path)
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (8 * CELLS, 0o600)


def test_pools_know_their_own_only(clock: FakeClock) -> None:
    table = private_table()
    remembering(clock, table).remember(b"192.0.2.1", 1)
    assert remembering(clock, table, "api").recall(b"192.0.2.1") == -1


def test_it_is_the_backend_and_not_its_place_that_is_remembered(clock: FakeClock) -> None:
    table = private_table()
    remembering(clock, table).remember(b"192.0.2.1", 2)
    assert remembering(clock, table, backends=("c", "new", "a")).recall(b"192.0.2.1") == 0
    assert remembering(clock, table, backends=("a", "b")).recall(b"192.0.2.1") == -1


def test_time_counts_from_the_last_visit(clock: FakeClock) -> None:
    known = remembering(clock, private_table())
    known.remember(b"192.0.2.1", 1)
    for _ in range(5):
        clock.advance(KEEP_S - 2)
        assert known.recall(b"192.0.2.1") == 1
    clock.advance(KEEP_S + 4)
    assert known.recall(b"192.0.2.1") == -1
    known.remember(b"192.0.2.1", 0)
    assert known.recall(b"192.0.2.1") == 0


@given(st.floats(0.0, 1e9), st.floats(0.0, LONGEST_S - 4))
def test_the_longest_time_there_is(start_s: float, away_s: float) -> None:
    clock, table = FakeClock(start_s), memoryview(bytearray(8 * CELLS)).cast("q")
    known = Clients("web", BACKENDS, LONGEST_S, lambda: table, clock)
    known.remember(b"192.0.2.1", 1)
    clock.advance(away_s)
    assert known.recall(b"192.0.2.1") == 1


def test_a_crowd_is_remembered_and_a_flood_forgets_the_oldest(clock: FakeClock) -> None:
    known = remembering(clock, private_table())
    crowd = range(40_000)
    for number in crowd:
        known.remember(address(number), number % 3)
    wrong = sum(known.recall(address(number)) != number % 3 for number in crowd)
    assert wrong < 40
    clock.advance(10)
    for number in range(100_000, 100_000 + 4 * CELLS):
        known.remember(address(number), 0)
    assert sum(known.recall(address(number)) >= 0 for number in crowd) < 400


def test_thousands_of_backends_are_told_apart() -> None:
    backends = [f"b{i}" for i in range(10_000)]
    assert len(set(clients_module._numbers(backends))) == len(backends)
    assert clients_module._numbers(["x", "x\0", "y"])[2] == clients_module._numbers(["y"])[0]


def test_whatever_is_in_the_file_does_no_harm(clock: FakeClock, tmp_path: Path) -> None:
    path = tmp_path / "clients"
    path.write_bytes(os.urandom(8 * CELLS + 5))
    known = remembering(clock, open_table(str(path)))
    assert all(known.recall(address(number)) in (-1, 0, 1, 2) for number in range(2000))
    known.remember(b"192.0.2.1", 2)
    assert known.recall(b"192.0.2.1") == 2


@pytest.mark.parametrize("trouble", ["directory", "nowhere", "link"])
def test_without_the_file_a_worker_remembers_its_own(
    trouble: str, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clients"
    if trouble == "directory":
        path.mkdir()
    elif trouble == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path = tmp_path / "missing" / "clients"
    with caplog.at_level(logging.WARNING):
        known = remembering(clock, open_table(str(path)))
    assert "each worker remembers its own clients" in caplog.text
    known.remember(b"192.0.2.1", 1)
    assert known.recall(b"192.0.2.1") == 1
