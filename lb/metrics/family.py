"""One metric with all its series, as values; the form in which everything here is collected.

Knows neither where numbers come from nor any wire format. ``to_prometheus`` gives the same as
prometheus_client's own objects, for registries and for tests that compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, NamedTuple

from lb.state.layout import BUCKET_BOUNDS_US, C_BUCKETS, C_DURATION_US

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Kind = Literal["counter", "gauge", "histogram"]
BOUNDS = (*(repr(bound / 1e6) for bound in BUCKET_BOUNDS_US), "+Inf")
"""The ``le`` labels, in seconds."""


class Buckets(NamedTuple):
    """A histogram's value: cumulated counts in the order of ``BOUNDS``, and the sum in seconds."""

    counts: Sequence[int]
    sum_s: float


Value = float | Buckets


@dataclass(slots=True)
class Family:
    """``name`` as it is written (a counter's ends in ``_total``); ``series`` in the order collected."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    series: list[tuple[tuple[str, ...], Value]] = field(default_factory=list)

    def add(self, values: tuple[str, ...], value: Value) -> None:
        self.series.append((values, value))


def buckets(totals: Sequence[int]) -> Buckets:
    """The histogram in a column's counters."""
    counts = totals[C_BUCKETS : C_BUCKETS + len(BOUNDS)]
    return Buckets(list(accumulate(counts)), totals[C_DURATION_US] / 1e6)


def to_prometheus(family: Family) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for values, value in family.series:
            assert isinstance(value, Buckets)
            pairs = list(zip(BOUNDS, map(float, value.counts), strict=True))
            histogram.add_metric(list(values), pairs, value.sum_s)
        return histogram
    make = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric: Metric = make(family.name, family.help, labels=family.labels)
    for values, value in family.series:
        assert not isinstance(value, Buckets)
        metric.add_metric(list(values), value)  # type: ignore[attr-defined]
    return metric
