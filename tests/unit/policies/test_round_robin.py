from __future__ import annotations

from tests.unit.policies.context import FakeContext, members_of, picker_of, picks


def test_a_b_c_in_order() -> None:
    assert picks(picker_of("round_robin", members_of([1, 1, 1])), FakeContext(), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_weights_do_not_matter() -> None:
    assert picks(picker_of("round_robin", members_of([9, 1, 0])), FakeContext(), 6) == [0, 1, 2, 0, 1, 2]


def test_two_workers_with_one_cursor_keep_the_order_between_them() -> None:
    members, ctx = members_of([1, 1, 1]), FakeContext()
    one, two = picker_of("round_robin", members), picker_of("round_robin", members)
    assert [one(ctx), two(ctx), two(ctx), one(ctx), one(ctx), two(ctx)] == [0, 1, 2, 0, 1, 2]


def test_the_share_of_one_that_is_out_goes_to_all_others_alike() -> None:
    taken = picks(picker_of("round_robin", members_of([1] * 4), [0, 2, 3]), FakeContext(), 300)
    assert [taken.count(i) for i in range(4)] == [100, 0, 100, 100]
