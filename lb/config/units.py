"""Durations, sizes, shares and rates as people write them. Pure; ValueError says what to write."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "kB": 10**3, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}  # fmt: skip
MAX_DURATION_S = 30 * 86400.0
MAX_SIZE_BYTES = 1 << 50

_DECIMAL = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
DURATION = rf"{_DECIMAL}(?:ms|s|m|h|d)"
SIZE = rf"{_DECIMAL}(?:B|[kKMG]B|[KMG]iB)"
PERCENT = rf"{_DECIMAL}%"
RATE = rf"{_DECIMAL}/s"
REQUEST_RATE = rf"{_DECIMAL}/[smhd]"
MAX_REQUESTS_PER_S = 1_000_000
_PERIODS = ("s", "m", "h", "d")
_QUANTITY = re.compile(rf"({_DECIMAL}) ?([A-Za-z%/]*)", re.ASCII)


def duration_s(value: Any) -> float:
    """Seconds of ``250ms``, ``2s``, ``1.5m``, ``1h``, ``1d``; 0 may stand without a unit."""
    number, unit = _split(value, "a duration such as 250ms, 2s, 1m or 1h")
    if unit == "" and number == 0:
        return 0.0
    if unit == "":
        raise ValueError(f"a duration needs a unit: {value}s, or {value}ms")
    if unit not in _SECONDS:
        raise ValueError(f"unknown unit `{unit}`: expected one of {', '.join(_SECONDS)}")
    seconds = number * _SECONDS[unit]
    if seconds > MAX_DURATION_S:
        raise ValueError(f"`{value}` is too long: at most 30d")
    return round(seconds, 9)


def size_bytes(value: Any) -> int:
    """Bytes of ``64KiB``, ``1MB`` or a plain number."""
    number, unit = _split(value, "a size such as 64KiB, 1MB or 2GiB")
    if unit not in _BYTES and unit:
        raise ValueError(f"unknown unit `{unit}`: expected one of B, KB, MB, GB, KiB, MiB, GiB")
    size = number * _BYTES.get(unit, 1)
    if size > MAX_SIZE_BYTES:
        raise ValueError(f"`{value}` is too large")
    if size != int(size):
        raise ValueError(f"`{value}` is not a whole number of bytes")
    return int(size)


def percent(value: Any) -> float:
    """20.0 of ``20%``."""
    number, unit = _split(value, "a share such as 20%")
    if unit != "%":
        raise ValueError(f"a share needs a percent sign: {number:g}%")
    if number > 100:
        raise ValueError("a share is at most 100%")
    return number


def rate_per_s(value: Any) -> float:
    """3.0 of ``3/s``."""
    number, unit = _split(value, "a rate such as 3/s")
    if unit != "/s":
        raise ValueError(f"a rate needs its unit: {number:g}/s")
    return number


class RequestRate(NamedTuple):
    """``number`` in a period, as it was written."""

    number: float
    per_s: float


def request_rate(value: Any) -> RequestRate:
    """Of ``100/s``, ``6000/m``, ``1000/h``, ``50/d``."""
    number, unit = _split(value, "a rate such as 100/s, 6000/m or 1000/h")
    period = unit.removeprefix("/")
    if not unit.startswith("/") or period not in _PERIODS:
        near = next((known for known in _PERIODS if period.lower().removeprefix("r/").startswith(known)), "s")
        raise ValueError(f"a rate needs its unit, one of /s, /m, /h, /d: {number:.15g}/{near}")
    rate = number / _SECONDS[period]
    if not number:
        raise ValueError(f"`{value}` lets nothing through: a route that answers 403 or 429 is a `respond`")
    if rate > MAX_REQUESTS_PER_S:
        raise ValueError(f"`{value}` is too much: at most {MAX_REQUESTS_PER_S}/s")
    return RequestRate(number, rate)


def format_duration(seconds: float) -> str:
    """The shortest way to write it: 0.5 is 500ms, 3600 is 1h."""
    if not seconds:
        return "0s"
    for unit in ("h", "m", "s"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:.6f}".rstrip("0").rstrip(".") + "ms"


def _split(value: Any, expected: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, (int, float, str)) else None
    if match is None or isinstance(value, bool):
        raise ValueError(f"expected {expected}")
    return float(match[1]), match[2]
