"""Quantities: written, read, written again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.config import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", 0.25),
        ("2s", 2.0),
        ("1.5m", 90.0),
        ("1h", 3600.0),
        ("1d", 86400.0),
        (0, 0.0),
        ("0", 0.0),
        ("10 s", 10.0),
    ],
)
def test_durations(text: object, expected: float) -> None:
    assert units.duration_s(text) == expected


@pytest.mark.parametrize(
    "value", ["", "s", "-1s", "1", 5, 2.5, "1e3s", "1y", "٣s", "31d", True, None, [], "1s2", "+1s"]
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.duration_s(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("64KiB", 65536), ("1MB", 10**6), ("1.5KiB", 1536), (10, 10), ("2GiB", 2 << 30), ("7B", 7), ("1kB", 1000)],
)
def test_sizes(text: object, expected: int) -> None:
    assert units.size_bytes(text) == expected


@pytest.mark.parametrize("value", ["1.5B", "-1", "1 apple", True, None, "1kb", "999999999GiB"])
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.size_bytes(value)


@given(st.integers(min_value=0, max_value=30 * 86400 * 1000))
def test_a_duration_that_is_shown_reads_as_itself(milliseconds: int) -> None:
    shown = units.format_duration(milliseconds / 1000)
    assert units.duration_s(shown) == milliseconds / 1000


@pytest.mark.parametrize(
    ("text", "number", "per_s"),
    [("100/s", 100, 100), ("6000/m", 6000, 100), ("1.5/s", 1.5, 1.5), ("7200/h", 7200, 2), ("1 /d", 1, 1 / 86400)],
)
def test_rates_of_requests(text: str, number: float, per_s: float) -> None:
    assert units.request_rate(text) == pytest.approx((number, per_s))


@pytest.mark.parametrize(
    "value", ["100", 100, "100/", "/s", "s", "1/w", "-1/s", "0/m", "1e6/s", "1000001/s", None, True]
)
def test_what_is_no_rate_of_requests(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        units.request_rate(value)
