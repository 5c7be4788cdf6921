"""Port numbers for servers that a test starts in another process, which cannot be told to take port 0.

Numbers are below the kernel's own range, so no client socket of anybody takes one meanwhile, and from
a block that belongs to this process alone, so no test run beside this one does either.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator
from functools import cache

FIRST_PORT, BLOCK_PORTS, BLOCKS = 10_000, 500, 45
RUN_PORTS, RUNS = 100, 2
"""Of each block, for those who need ports at fixed distances."""
SINGLE_PORTS = BLOCK_PORTS - RUN_PORTS * RUNS


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that come up again only after all others of the block."""
    found = list(itertools.islice(filter(_is_free, itertools.islice(_singles(), SINGLE_PORTS)), count))
    assert len(found) == count, "no free ports"
    return found


def run_of_ports() -> range:
    """A hundred ports in a row; the one before may still be in use."""
    return next(_runs())


@cache
def _singles() -> Iterator[int]:
    behind_the_runs = _own_block().first + RUN_PORTS * RUNS
    return itertools.cycle(range(behind_the_runs, behind_the_runs + SINGLE_PORTS))


@cache
def _runs() -> Iterator[range]:
    first = _own_block().first
    return itertools.cycle([range(first + n * RUN_PORTS, first + (n + 1) * RUN_PORTS) for n in range(RUNS)])


class _Block:
    """Held by an abstract unix socket, which the kernel gives to one and takes back when its process ends."""

    def __init__(self, number: int) -> None:
        self.first = FIRST_PORT + BLOCK_PORTS * number
        self._held = socket.socket(socket.AF_UNIX)
        try:
            self._held.bind(f"\0lb-test-ports-{number}")
        except OSError:
            self._held.close()
            raise


@cache
def _own_block() -> _Block:
    for number in range(BLOCKS):
        with contextlib.suppress(OSError):
            return _Block(number)
    raise AssertionError("all blocks of ports are taken by other test runs")


def _is_free(port: int) -> bool:
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.bind(("127.0.0.1", port))
        return True
    return False
