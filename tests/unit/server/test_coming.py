"""Many new members are made beside requests, and a reload that names them anew finds them made."""

from __future__ import annotations

from dataclasses import replace

import gevent

from lb.model import Backend, Pool
from lb.proxy.member import Member
from lb.server.coming import made, member_key, new_of
from lb.state.layout import SH_VERDICT
from tests.support.scripted import FakeSegment, directory

POOL = Pool("web", tuple(Backend(f"b{n}", host="127.0.0.1", port=n) for n in range(1, 1001)))


def test_others_run_in_between() -> None:
    turns = []

    def others() -> None:
        while True:
            turns.append(None)
            gevent.sleep(0)

    greenlet = gevent.spawn(others)
    hub = gevent.get_hub()
    members = made(new_of([POOL], {}), directory([]), lambda backend, pool, cells: Member(backend, pool, cells, hub))
    greenlet.kill()
    assert len(members) == 1000 and len(turns) >= 15


def test_new_is_what_has_another_place_or_name() -> None:
    first, second, *_ = POOL.backends
    existing = {member_key(POOL, first): None, member_key(POOL, second): None}
    moved = replace(second, port=9)
    pool = replace(POOL, backends=(replace(first, weight=7), moved))
    assert [new.backend for new in new_of([pool], existing)] == [moved]


def test_cells_that_did_not_move_are_kept() -> None:
    segment = FakeSegment(slots=3, index=2)
    before = directory(["a", "b"], segment)
    cells = [before.of("a"), before.of("b")]
    after = type(before)({"a": 0, "b": 2}, before._segment, before._slot, before)
    cells[0].shared[SH_VERDICT] = 1
    assert after.of("a") is cells[0] and after.of("b") is not cells[1]
    assert type(before)({"a": 0}, FakeSegment(slots=3, index=2), before._slot, before).of("a") is not cells[0]
