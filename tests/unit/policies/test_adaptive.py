from __future__ import annotations

from tests.unit.policies.context import FakeContext, members_of, picker_of, picks


def shares(weights: list[int], scores: list[float], loads: list[int] | None = None) -> list[float]:
    ctx = FakeContext(scores=scores, loads=loads)
    taken = picks(picker_of("adaptive", members_of(weights)), ctx, 20_000)
    return [taken.count(i) / len(taken) for i in range(len(weights))]


def test_idle_backends_share_by_effective_weight() -> None:
    full, half, none = shares([1, 1, 1], [1.0, 0.6, 0.0])  # effective 5, 3, 1
    assert abs(full - 5 / 9) < 0.02 and abs(half - 3 / 9) < 0.02 and abs(none - 1 / 9) < 0.02


def test_static_weights_count_as_well() -> None:
    small, large = shares([1, 4], [1.0, 0.2])  # 1 x 5 against 4 x 1
    assert abs(small - 5 / 9) < 0.02 and abs(large - 4 / 9) < 0.02


def test_the_best_score_does_not_draw_everything() -> None:
    best, *others = shares([1] * 6, [0.95] + [0.85] * 5)
    assert best < 0.25 and min(others) > 0.10


def test_of_near_equals_the_less_busy_one() -> None:
    busy, idle = shares([1, 1], [0.95, 0.9], loads=[8, 1])
    assert busy == 0.0 and idle == 1.0


def test_inflight_is_weighed_by_the_room_there_is() -> None:
    strong, weak = shares([1, 1], [1.0, 0.2], loads=[8, 3])  # 8/5 < 3/1
    assert strong == 1.0 and weak == 0.0


def test_no_scores_polled_yet_is_power_of_two() -> None:
    assert shares([1, 1, 1], [1.0, 1.0, 1.0], loads=[1, 1, 9])[2] == 0.0


def test_everybody_overloaded_shares_by_static_weight() -> None:
    one, three = shares([1, 3], [0.0, 0.0])
    assert abs(one - 0.25) < 0.02 and abs(three - 0.75) < 0.02


def test_asks_two_loads_only_however_large_the_pool() -> None:
    ctx = FakeContext(scores=[0.5] * 10_000)
    picker_of("adaptive", members_of([1] * 10_000))(ctx)
    assert len(ctx.asked) == 2
