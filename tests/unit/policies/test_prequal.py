"""Whom a worker asks after what it has heard; how often it asks around, and what it forgets."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from lb.model import PrequalOptions
from lb.policies.probe_pool import ALIKE, IDLE_S, ProbePool
from tests.unit.policies.context import FakeContext, members_of, picker_of, picks

NOW = 100.0


class Rig:
    """A picker, its probe pool, a clock, and what its worker knows to be in flight."""

    def __init__(self, *weights: int, **options: float) -> None:
        self.now = NOW
        self.starts = 0
        self.ctx = FakeContext(loads=[0] * len(weights))
        self.probes = self.ctx.probes = ProbePool(PrequalOptions(**options), lambda: self.now, self._start)  # type: ignore[arg-type]
        self.picker = picker_of("prequal", members_of(weights))
        self.pick()

    def _start(self) -> None:
        self.starts += 1

    def load(self, *loads: int) -> None:
        self.ctx.loads = loads

    def pick(self) -> int:
        return self.picker(self.ctx)

    def hear(self, member: int, inflight: float | None, latency_s: float) -> None:
        self.probes.add(member, inflight, latency_s, self.ctx.load(member))

    def heard_of(self) -> set[int]:
        return {probe.member for probe in self.probes.probes}


def rig_of(*heard: tuple[float, float], **options: float) -> Rig:
    """Each member answered: requests in flight, latency. A quantile of 50 % unless said otherwise, so few answers do."""
    rig = Rig(*[1] * len(heard), **{"remove": 0.0, "hot_quantile": 0.5, **options})
    for member, (inflight, latency_s) in enumerate(heard):
        rig.hear(member, inflight, latency_s)
    return rig


def test_the_fastest_of_those_that_are_not_hot() -> None:
    assert rig_of((1, 0.5), (2, 0.1), (2, 0.3), (9, 0.01)).pick() == 1


def test_the_fewest_requests_where_all_are_hot() -> None:
    rig = rig_of((1, 0.01), (1, 0.01), (1, 0.01))
    rig.load(8, 9, 7)
    for member in range(3):
        rig.hear(member, 1 + rig.ctx.load(member), 0.01)
    rig.load(20, 19, 21)
    assert rig.pick() == 1


def test_among_alike_latencies_the_fewest_requests() -> None:
    assert rig_of((3, 0.1), (2, 0.1 * ALIKE), (3, 0.5), (1, 0.9)).pick() == 1


def test_what_we_sent_since_the_probe_counts() -> None:
    rig = rig_of((2, 0.1), (3, 0.1), (4, 0.1))
    rig.load(2, 0, 0)
    assert rig.pick() == 1, "4, 3, 4 by now"


def test_without_a_word_on_it_what_we_know_is_in_flight() -> None:
    rig = Rig(1, 1, remove=0.0, hot_quantile=1.0)
    rig.load(7, 3)
    rig.hear(0, None, 0.1)
    rig.hear(1, None, 0.1)
    assert {rig.pick() for _ in range(5)} == {1}


def test_weight_divides_what_is_in_flight() -> None:
    rig = Rig(4, 1, remove=0.0, hot_quantile=1.0)
    rig.hear(0, 6, 0.1)
    rig.hear(1, 2, 0.1)
    assert rig.pick() == 0


def test_too_few_answers_are_power_of_two() -> None:
    rig = Rig(1, 1, 1)
    rig.load(0, 5, 5)
    rig.hear(1, 0, 0.001)
    assert set(picks(rig.picker, rig.ctx, 200)) == {0, 1, 2} - {1} | {1}
    assert picks(rig.picker, rig.ctx, 300).count(0) > 150, "whenever it is one of the two"


def test_an_answer_is_forgotten_with_age() -> None:
    rig = rig_of((0, 0.1), (0, 0.2), (0, 0.3))
    rig.now += 0.9
    rig.pick()
    assert rig.heard_of() == {0, 1, 2}
    rig.now += 0.2
    rig.pick()
    assert rig.heard_of() == set()


def test_a_new_answer_replaces_the_old_one_and_a_failed_probe_takes_it_away() -> None:
    rig = rig_of((9, 0.9), (5, 0.5))
    rig.hear(0, 0, 0.1)
    assert [probe.member for probe in rig.probes.probes] == [1, 0]
    rig.probes.forget(0)
    assert rig.heard_of() == {1}


def test_one_that_may_not_be_picked_is_not_picked_whatever_it_said() -> None:
    rig = rig_of((0, 0.001), (5, 0.5), (6, 0.5), (7, 0.5))
    without = picker_of("prequal", members_of([1] * 4), [1, 2, 3])
    assert 0 not in picks(without, rig.ctx, 50)


def test_the_worst_and_the_oldest_go_in_turns() -> None:
    rig = rig_of((1, 0.1), (1, 0.2), (8, 0.3), (1, 0.4), (1, 0.5), remove=3.0)
    rig.hear(4, 1, 0.5)  # one removal to each answer now: r_remove / r_probe
    assert len(rig.heard_of()) < 5


def test_reuse_is_the_papers_formula() -> None:
    """max(1, (1 + 1) / ((1 - m/n) r_probe - r_remove))"""
    probes = Rig(1, 1).probes
    assert probes.reuse(100) == 2.0 / ((1 - 16 / 100) * 3.0 - 1.0)
    assert probes.reuse(10_000) == 2.0 / ((1 - 16 / 10_000) * 3.0 - 1.0)
    assert probes.reuse(16) > 1e6, "everybody is in the pool: nothing would be gained by asking again"
    assert Rig(1, 1, per_request=9.0).probes.reuse(1000) == 1.0


def test_a_used_up_answer_is_gone() -> None:
    rig = Rig(*[1] * 100, remove=0.0, hot_quantile=1.0)
    for member in range(3):
        rig.hear(member, 0, 0.1)
    assert 3 <= len([i for i in picks(rig.picker, rig.ctx, 100) if i < 3]) < 30
    assert len(rig.heard_of()) < 2


# --- how many are asked


def due_in(rig: Rig, seconds: float, per_s: int) -> int:
    """Probes sent while ``per_s`` requests come."""
    chance, sent = random.Random(1).random, 0
    for _ in range(round(seconds * 100)):
        for _ in range(per_s // 100):
            rig.pick()
        rig.now += 0.01
        sent += len(rig.probes.due(chance))
    return sent


def test_probes_follow_the_requests_up_to_the_rate() -> None:
    assert 45 <= due_in(Rig(*[1] * 50, per_request=0.5), 1.0, 100) <= 55
    assert 90 <= due_in(Rig(*[1] * 50), 1.0, 10_000) <= 110 + 10


def test_nobody_is_asked_when_nobody_asks() -> None:
    rig = Rig(1, 1, 1)
    assert rig.starts == 1 and rig.probes.is_probing
    chance: Callable[[], float] = random.Random(1).random
    rig.probes.due(chance)
    rig.now += IDLE_S + 0.1
    assert rig.probes.due(chance) == [] and not rig.probes.is_probing
    rig.pick()
    assert rig.starts == 2 and rig.probes.is_probing


def test_a_quiet_pool_is_asked_now_and_then() -> None:
    assert 4 <= due_in(Rig(1, 1, 1), 1.0, 0) <= 20


def test_regions_zones_and_levels_are_asked_each_by_their_requests_and_keep_their_answers() -> None:
    rig = Rig(*[1] * 8, max_per_s=10_000)
    halves = [picker_of("prequal", members_of([1] * 8), positions) for positions in ([0, 1, 2, 3], [4, 5, 6, 7])]
    chance, asked, known = random.Random(1).random, [0, 0], 0
    for _ in range(2000):
        half = chance() < 0.25
        known += sum(i // 4 == half for i in rig.heard_of()) >= 2
        halves[half](rig.ctx)
        rig.now += 0.001
        for i in rig.probes.due(chance):
            asked[i // 4] += 1
            rig.hear(i, 0, 0.1)
    assert 0.2 < asked[1] / sum(asked) < 0.3
    assert len(rig.probes.rosters) == 2, "nobody asks for the first one any more"
    assert known > 1700, "else they would be chosen by power of two"


def test_who_is_asked_is_drawn_by_weight() -> None:
    rig = Rig(9, 1, max_per_s=10_000)
    chance, asked = random.Random(1).random, [0, 0]
    for _ in range(3000):
        rig.pick()
        rig.now += 0.001
        for i in rig.probes.due(chance):
            asked[i] += 1
    assert 0.06 < asked[1] / sum(asked) < 0.25, "one in ten; of two probes at once to the same one only one is sent"


@given(
    st.lists(st.tuples(st.integers(0, 50), st.floats(0.0, 60.0), st.integers(0, 50)), min_size=2, max_size=40),
    st.integers(0, 2**16),
)
def test_never_a_hot_one_while_another_is_cold(heard: list[tuple[int, float, int]], seed: int) -> None:
    rig = Rig(*[1] * len(heard), remove=0.0)
    rig.load(*[load for _, _, load in heard])
    for member, (inflight, latency_s, _) in enumerate(heard):
        rig.hear(member, inflight, latency_s)
    known = {probe.member: heard[probe.member][0] for probe in rig.probes.probes}
    hot_above = rig.probes.hot_above
    i = rig.pick()
    assert i in known
    assert known[i] <= hot_above or min(known.values()) > hot_above
