"""Arrivals from an access log of ours: JSON lines with ``time``, and ``client`` where it is known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from lb.config.problems import LocatedConfigError, Problem
from lb.simulate.scenario import Recorded


def read_log(path: str, speed: float) -> Recorded:
    """In the order of ``time``: lines are written when requests end. LocatedConfigError names lines that are not such."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            entries = sorted(_entries(path, file))
    except OSError as error:
        raise LocatedConfigError([Problem(path, 0, 0, f"cannot be read: {error.strerror}")]) from error
    if not entries:
        raise LocatedConfigError([Problem(path, 0, 0, "holds no request")])
    first = entries[0][0]
    return Recorded(tuple((at - first) / speed for at, _ in entries), tuple(client for _, client in entries))


def _entries(path: str, lines: Iterator[str]) -> Iterator[tuple[float, bytes]]:
    """The last line may have been cut off while it was written: without its end it does not count."""
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            return
        try:
            entry = json.loads(line)
            at = datetime.fromisoformat(_iso(entry["time"])).timestamp()
        except (ValueError, LookupError, TypeError) as error:
            message = 'expected a JSON object with `"time": "2026-01-31T12:00:00.000Z"`'
            raise LocatedConfigError([Problem(path, number, 1, message)]) from error
        yield at, str(entry.get("client") or "").encode()


def _iso(text: Any) -> str:
    """Python 3.10 does not know the Z."""
    if not isinstance(text, str):
        raise TypeError("time is not text")
    return text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text
