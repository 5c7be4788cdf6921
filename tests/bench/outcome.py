"""What a case hands back: tables for people, figures to be judged, and the raw numbers for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """``figures`` are keyed by the names in ``tests.bench.figures``, one value a round, none where errors forbid it; ``raw`` is plain JSON data."""

    case: str
    tables: tuple[Table, ...]
    figures: Mapping[str, Sequence[float]] = field(default_factory=dict)
    raw: object = None


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours ÷ theirs, round by round. Both were measured in the same round, seconds apart, so what
    the machine does meanwhile cancels as far as it lasts longer than that."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]
