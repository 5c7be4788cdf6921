"""gevent's patching of the standard library in a new worker, without its price.

gevent asks for plugins of it some 25 times, and each time the files of every installed distribution are read: with 70 of them
that is two thirds of what a worker does before it serves. Here they are read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any


@contextmanager
def distributions_read_once() -> Iterator[None]:
    """In the block whoever asks for entry points of a group is told those that there were at its begin."""
    read = metadata.entry_points
    everything: Any = read()

    @cache
    def select(**wanted: str) -> Any:
        return everything.select(**wanted)

    metadata.entry_points = select  # type: ignore[assignment]
    try:
        yield
    finally:
        metadata.entry_points = read
