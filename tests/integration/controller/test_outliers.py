"""Who gets less because its requests fail, over reloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lb.controller.outliers import Outliers
from lb.model import Backend, Pool
from lb.state.layout import C_COUNT, C_STATUS
from lb.structs import replace
from tests.integration.controller.machine import Machine

POOL = Pool("web", tuple(Backend(f"b{n}", host="127.0.0.1", port=1 + n) for n in range(3)))


class Watching:
    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.shares: dict[str, float] = {}
        self.outliers = Outliers(self.shares.__setitem__)
        self.follow(POOL)

    def follow(self, pool: Pool) -> None:
        self.outliers.apply(self.machine.publish(pool), self.machine.segment)

    def fail(self, seconds: int) -> None:
        """Each backend gets a hundred requests a second; ``b0`` fails twenty of them."""
        for _ in range(seconds):
            for backend in ("b0", "b1", "b2"):
                counters = self.machine.segment.counters(self.machine.column(f"backend:web/{backend}"), 0)
                counters[C_COUNT] += 100
                counters[C_STATUS + 5] += 20 if backend == "b0" else 0
            self.outliers.look()


@pytest.fixture
def watching(tmp_path: Path) -> Watching:
    one = Watching(tmp_path)
    one.fail(8)
    assert one.shares["web/b0"] < 0.05 and one.shares.keys() == {"web/b0"}
    return one


def test_a_reload_that_changes_nothing_of_the_pool_changes_nothing(watching: Watching) -> None:
    watching.follow(replace(POOL, policy="random"))
    assert watching.shares["web/b0"] < 0.05


@pytest.mark.parametrize(
    "pool",
    [
        replace(POOL, outlier_errors=1.0),
        replace(POOL, outlier_errors=0.5),
        replace(POOL, backends=(*POOL.backends, Backend("b3", host="127.0.0.1", port=9))),
        Pool("other", POOL.backends),
    ],
    ids=["off", "otherwise", "one more", "gone"],
)
def test_nobody_keeps_less_for_good_where_it_is_not_watched_any_more(watching: Watching, pool: Pool) -> None:
    watching.follow(pool)
    assert watching.shares["web/b0"] == 1.0


def test_who_has_begun_anew_is_told_again(watching: Watching) -> None:
    """Its prober was replaced, say."""
    watching.fail(5)
    watching.shares.clear()
    watching.fail(1)
    assert watching.shares["web/b0"] < 0.05
