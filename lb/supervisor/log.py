"""One ``key=value`` line per state change of the supervisor, on standard error.

Not ``logging``: the supervisor forks, execs and must survive a terminal that went away, so a line
is one ``write`` of its own and a failing one is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,[]")


def info(event: str, **fields: object) -> None:
    _write("info", event, fields)


def warning(event: str, **fields: object) -> None:
    _write("warning", event, fields)


def error(event: str, **fields: object) -> None:
    _write("error", event, fields)


def line(level: str, event: str, fields: Mapping[str, object], now_s: float, *, process: str = "supervisor") -> str:
    """A whole line: UTC timestamp, level, event, then ``fields``; values that need it are quoted."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s)) + f".{int(now_s * 1000) % 1000:03d}Z"
    pairs = "".join(f" {key}={_value(value)}" for key, value in fields.items())
    return f"ts={stamp} level={level} process={process} event={event}{pairs}\n"


def _value(value: object) -> str:
    text = str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text, ensure_ascii=True)


def _write(level: str, event: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(2, line(level, event, fields, time.time()).encode())
