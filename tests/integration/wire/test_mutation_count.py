"""Row 24: ten thousand different mutations in every ``make test``, told apart by what our parser says of them."""

from __future__ import annotations

from collections import Counter

from tests.integration.wire import test_mutated_requests as on_the_wire
from tests.unit.http1 import test_differential as differential
from tests.unit.http1.mutations import SEEDS, mutated
from tests.unit.http1.oracles import read_ours

PROMISED = 10_000
KINDS = 8
"""Reasons to refuse, at least, that mutations must come upon."""


def test_row_24_ten_thousand_different_heads_are_judged_in_every_run() -> None:
    rounds = range(differential.ROUNDS)
    heads = {head for seed in rounds for head in mutated(SEEDS, differential.HEADS // differential.ROUNDS, seed)}
    sent = {head for head in mutated(SEEDS, on_the_wire.COUNT, on_the_wire.SEED) if on_the_wire._can_be_sent(head)}
    assert len(heads) >= PROMISED
    assert len(sent) >= PROMISED / 5
    outcomes = Counter(ours if isinstance(ours := read_ours(head), str) else "taken" for head in heads)
    assert min(outcomes["taken"], len(heads) - outcomes["taken"]) > len(heads) / 10
    assert len(outcomes) > KINDS, outcomes
