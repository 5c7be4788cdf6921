"""Our writer against prometheus_client's: what a scraper reads must be the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from lb.metrics.collector import SegmentCollector
from lb.metrics.exposition import OPENMETRICS, TEXT, expose
from lb.metrics.family import Buckets, Family, to_prometheus
from tests.unit.metrics.counted import fill, machine

ASKS_OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"


def samples(families: Iterable[Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"twice: {key}"
            found[key] = sample.value
    return found


class Fixed:
    def __init__(self, *families: Family) -> None:
        self.families = families

    def collect(self) -> Iterable[Any]:
        return map(to_prometheus, self.families)


def registry(collector: Any) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def test_both_formats_say_what_prometheus_client_says(tmp_path: Path) -> None:
    snapshot, segment = machine(tmp_path, backends=3)
    fill(segment)
    collector = SegmentCollector(lambda: (snapshot, segment))
    families = [family for family in collector.families() if not family.name.startswith("lb_process_")]
    reference = registry(Fixed(*families))
    text = expose(families, "")[1].decode()
    assert samples(parse_text(text)) == samples(parse_text(generate_latest(reference).decode()))
    opened = expose(families, ASKS_OPENMETRICS)[1].decode()
    assert samples(parse_openmetrics(opened)) == samples(parse_openmetrics(generate_openmetrics(reference).decode()))
    assert {f.name: f.type for f in parse_openmetrics(opened)} == {f.name: f.type for f in reference.collect()}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml", TEXT),
        (ASKS_OPENMETRICS, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("\x00;;;=,", TEXT),
    ],
)
def test_the_accept_field_chooses(accept: str, content_type: str) -> None:
    assert expose([], accept)[0] == content_type


def test_labels_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    family = Family("x_total", "counter", "Line\nbreak \\ here", ("id",), [((odd,), 3)])
    for accept, parse in (("", parse_text), (ASKS_OPENMETRICS, parse_openmetrics)):
        assert samples(parse(expose([family], accept)[1].decode()))["x_total", (("id", odd),)] == 3


def test_large_counts_keep_every_digit() -> None:
    family = Family("x_total", "counter", "X", (), [((), 2**53 + 1)])
    assert b"\nx_total 9007199254740993\n" in expose([family], "")[1]


def test_a_histogram_without_labels() -> None:
    family = Family("d_seconds", "histogram", "D", (), [((), Buckets([1] * 16 + [4], 0.5))])
    text = expose([family], "")[1].decode()
    assert 'd_seconds_bucket{le="0.0005"} 1\n' in text
    assert text.endswith('d_seconds_bucket{le="+Inf"} 4\nd_seconds_count 4\nd_seconds_sum 0.5\n')
