"""Turns the counted things of one kind (all backends, say) into families with one set of labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lb.metrics.family import Family, Kind, buckets
from lb.metrics.reading import Counted

Cells = tuple[tuple[str, int], ...]
"""Label value and counter cell."""


Numbered = list[tuple[tuple[str, ...], list[int]]]


class Rows:
    """Each method makes one family with a series (or one per label value) for every row."""

    def __init__(self, labels: tuple[str, ...], rows: Sequence[Counted]) -> None:
        self._labels = labels
        self._rows = rows

    def counter(self, name: str, text: str, cell: int) -> Family:
        return self.of("counter", name, text, lambda row: row.totals[cell])

    def of(self, kind: Kind, name: str, text: str, value: Callable[[Counted], int]) -> Family:
        """Any number that a row has."""
        return Family(name, kind, text, self._labels, [(row.labels, value(row)) for row in self._rows])

    def inflight(self, name: str, text: str) -> Family:
        return self.of("gauge", name, text, lambda row: row.inflight)

    def split(self, name: str, text: str, label: str, cells: Cells) -> Family:
        """A counter with one more label, by counter cell."""
        return self._by(name, text, label, [(row.labels, row.totals) for row in self._rows], cells)

    def split_shared(self, name: str, text: str, label: str, cells: Cells) -> Family:
        """The same, from cells that have one value for the machine."""
        return self._by(name, text, label, [(row.labels, row.shared) for row in self._rows], cells)

    def durations(self, name: str, text: str) -> Family:
        series = [(row.labels, buckets(row.totals)) for row in self._rows]
        return Family(name, "histogram", text, self._labels, [*series])

    def _by(self, name: str, text: str, label: str, rows: Numbered, cells: Cells) -> Family:
        series = [((*labels, value), numbers[cell]) for labels, numbers in rows for value, cell in cells]
        return Family(name, "counter", text, (*self._labels, label), [*series])
