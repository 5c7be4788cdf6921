"""One machine's slice of a limit: what is in force in the segment, what the store is told, and when."""

from __future__ import annotations

import pytest

from lb.controller.limit_cells import RECENT_NS, InflightCells
from lb.controller.slice import HOLDS_NS, HURRIED_NS, INTERVAL_NS, MS, NEVER_NS, OVER_NS, Slice
from lb.model import StoreLoss
from lb.state.layout import SH_FULL_NS, SH_SLICE, SH_SLICE_LOST, SH_SLICE_UNTIL_NS
from lb.state.store.slices import Grant, Renewal
from tests.support.scripted import FakeSegment

NOW_NS = 1_000_000 * MS


class One:
    """A slice of a limit of ten, its cells and its time."""

    def __init__(self, rule: StoreLoss = "closed", until_ns: int = NEVER_NS, held: int = 0) -> None:
        self.segment = FakeSegment()
        self.cells = self.segment.shared(0)
        self.cells[SH_SLICE_UNTIL_NS], self.cells[SH_SLICE] = until_ns, held
        self.now_ns = NOW_NS
        self.slice = Slice("web/b", 10, InflightCells(self.segment, 0, NOW_NS), rule, self.now_ns)  # type: ignore[arg-type]

    def work(self, requests: int) -> None:
        self.segment.inflight_view(0)[0] = requests
        self.slice.look(self.now_ns, 0)

    def full(self) -> None:
        self.cells[SH_FULL_NS] = self.now_ns

    def pass_ms(self, time_ms: int) -> None:
        self.now_ns += time_ms * MS

    def renew(self, granted: int, target: int, *, others_starve: bool = False) -> Renewal:
        renewal = self.slice.begin(self.now_ns)
        self.slice.finish(Grant(granted, target, others_starve), self.now_ns)
        return renewal

    @property
    def in_force(self) -> int:
        return self.cells[SH_SLICE] if self.cells[SH_SLICE_UNTIL_NS] > self.now_ns else 0

    @property
    def is_due(self) -> bool:
        return self.slice.is_due(self.now_ns)


def test_what_was_granted_holds_from_before_it_was_asked_for() -> None:
    one = One()
    assert one.slice.begin(one.now_ns) == Renewal("web/b", 10, 0, 0, -1)
    sent_ns = one.now_ns
    one.pass_ms(400)
    one.slice.finish(Grant(6, 6, False), sent_ns)
    assert one.in_force == 6 and one.cells[SH_SLICE_UNTIL_NS] == sent_ns + HOLDS_NS
    one.pass_ms(1100)
    assert one.in_force == 0


def test_an_answer_that_comes_too_late_holds_no_more() -> None:
    one = One()
    one.slice.begin(one.now_ns)
    sent_ns = one.now_ns
    one.pass_ms(1600)
    one.slice.finish(Grant(6, 6, False), sent_ns)
    assert one.in_force == 0
    one.work(2)
    assert one.slice.begin(one.now_ns) == Renewal("web/b", 10, 2, 2, -1), "only what still runs is its own"


def test_more_than_the_target_is_given_back_in_force_first() -> None:
    one = One()
    one.renew(8, 8)
    one.work(7)
    one.pass_ms(500)
    one.renew(8, 3, others_starve=True)
    assert one.in_force == 3 and one.is_due
    assert one.renew(7, 3, others_starve=True).held == 7
    assert not one.is_due, "seven still run"
    one.work(5)
    assert one.is_due
    assert one.slice.begin(one.now_ns).held == 5
    one.slice.finish(Grant(5, 3, True), one.now_ns)
    one.work(0)
    assert one.slice.begin(one.now_ns).held == 3


def test_a_lost_answer_leaves_what_was_in_force_until_it_ends() -> None:
    one = One()
    one.renew(4, 4)
    one.pass_ms(500)
    assert one.slice.begin(one.now_ns).age_ms == 500
    one.slice.failed()
    assert one.in_force == 4
    one.pass_ms(500)
    assert one.slice.begin(one.now_ns).age_ms == 1000
    one.slice.failed()
    one.pass_ms(500)
    assert one.in_force == 0


def test_an_answer_to_an_older_question_than_the_store_has_heard_changes_nothing() -> None:
    one = One()
    one.renew(4, 4)
    one.slice.begin(one.now_ns)
    one.slice.finish(None, one.now_ns)
    assert one.in_force == 4


def test_the_next_controller_goes_on_from_the_cells() -> None:
    one = One(until_ns=NOW_NS + 900 * MS, held=4)
    assert one.is_due
    assert one.slice.begin(one.now_ns) == Renewal("web/b", 10, 4, 0, 600)


def test_cells_of_an_earlier_boot_hold_nothing() -> None:
    one = One(until_ns=NOW_NS + HOLDS_NS + MS, held=4)
    assert one.in_force == 0 and one.slice.begin(one.now_ns).age_ms == -1


@pytest.mark.parametrize(
    ("rule", "until_ns", "held", "after"),
    [("closed", NEVER_NS, 0, 0), ("open", NEVER_NS, 0, 0), ("closed", OVER_NS, 0, 0), ("open", OVER_NS, 3, 3)],
)
def test_open_begins_again_with_what_it_took_without_the_store(
    rule: StoreLoss, until_ns: int, held: int, after: int
) -> None:
    one = One(rule, until_ns)
    one.slice.look(one.now_ns, 3)
    assert one.cells[SH_SLICE_LOST] == 3
    assert one.slice.begin(one.now_ns) == Renewal("web/b", 10, held, 0, -1)
    assert one.in_force == after
    one.slice.failed()
    assert one.cells[SH_SLICE_UNTIL_NS] == OVER_NS


def test_what_holds_without_the_store_is_the_limit_by_machines_and_at_least_one() -> None:
    one = One("open")
    for machines, most in ((0, 0), (3, 3), (0, 3), (40, 1)):
        one.slice.look(one.now_ns, machines)
        assert one.cells[SH_SLICE_LOST] == most


def test_where_no_store_can_be_asked_workers_are_told() -> None:
    one = One("open")
    one.slice.has_no_store()
    assert one.cells[SH_SLICE_UNTIL_NS] == OVER_NS
    other = One()
    other.renew(4, 4)
    other.slice.has_no_store()
    assert other.in_force == 4


def test_it_wants_what_it_had_lately_and_all_that_is_fair_when_somebody_found_no_place() -> None:
    one = One()
    one.work(8)
    one.work(0)
    assert one.slice.wanted(one.now_ns) == 10
    one.work(3)
    one.pass_ms(RECENT_NS // MS + 1)
    one.work(1)
    one.pass_ms(RECENT_NS // MS + 1)
    one.work(1)
    assert one.slice.wanted(one.now_ns) == 1
    one.full()
    assert one.slice.wanted(one.now_ns) == 10
    one.pass_ms(RECENT_NS // MS)
    assert one.slice.wanted(one.now_ns) == 1


def test_it_renews_in_its_time_and_sooner_when_others_want() -> None:
    one = One()
    assert one.is_due
    one.renew(4, 4)
    one.pass_ms(INTERVAL_NS // MS - 1)
    assert not one.is_due
    one.pass_ms(1)
    assert one.is_due
    one.renew(4, 4, others_starve=True)
    one.pass_ms(HURRIED_NS // MS)
    assert one.is_due


def test_it_renews_at_once_when_somebody_finds_no_place_and_once_only() -> None:
    one = One()
    one.renew(4, 4)
    one.pass_ms(20)
    one.full()
    assert one.is_due
    one.renew(4, 5)
    one.pass_ms(20)
    one.full()
    assert not one.is_due
    one.slice.has_news = True
    assert one.is_due


def test_a_lower_limit_is_in_force_with_the_next_renewal() -> None:
    one = One()
    one.renew(8, 8)
    one.slice.limit = 3
    assert one.slice.begin(one.now_ns) == Renewal("web/b", 3, 3, 0, 0)


def test_what_leaves_gives_nothing_new_and_goes_when_its_requests_have_ended() -> None:
    one = One()
    one.renew(4, 4)
    one.work(2)
    one.slice.is_leaving = True
    assert one.renew(2, 0).held == 2
    assert one.in_force == 0 and not one.slice.has_left
    one.work(0)
    assert one.slice.begin(one.now_ns) == Renewal("web/b", 0, 0, 0, 0)
    one.slice.finish(Grant(0, 0, False), one.now_ns)
    assert one.slice.has_left and not one.is_due
    assert [one.cells[cell] for cell in (SH_SLICE, SH_SLICE_UNTIL_NS, SH_SLICE_LOST)] == [0, 0, 0]


def test_in_another_segment_it_begins_when_the_workers_are_there_and_late_answers_are_void() -> None:
    one = One()
    one.renew(4, 4)
    one.slice.begin(one.now_ns)
    new = FakeSegment()
    one.slice.move_to(InflightCells(new, 0, one.now_ns), one.now_ns)  # type: ignore[arg-type]
    one.slice.finish(Grant(4, 4, False), one.now_ns)
    assert new.shared(0)[SH_SLICE_UNTIL_NS] == NEVER_NS
    one.pass_ms(1000)
    assert not one.is_due
    one.pass_ms(600)
    assert one.is_due
