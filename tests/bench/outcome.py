"""What a case hands back: tables for people, figures to be judged, and the raw numbers for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """``figures`` are keyed by the names in ``tests.bench.figures``, None where errors forbid one; ``raw`` is plain JSON data."""

    case: str
    tables: tuple[Table, ...]
    figures: Mapping[str, float | None] = field(default_factory=dict)
    raw: object = None


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the rounds of ours ÷ theirs. Both were measured in the same round, seconds apart,
    so what the machine does meanwhile cancels."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))
