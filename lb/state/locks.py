"""Locks inside the segment's file: one byte each, owned by a pid, never waited for in the data path.

POSIX record locks (``fcntl.lockf``): the kernel drops them with the process, so a ``kill -9``
inside a critical section frees the lock at once, and a stopped holder keeps only its one byte.
The bytes lie far behind the file's end, where no data ever is; locking there is allowed and free.

The trap of this kind of lock: a process loses *all* its locks on a file when it closes *any*
descriptor of that file, and ``mmap`` holds a duplicate. So a lock is only ever held over a few
statements that open, close, yield and wait for nothing. Between greenlets or threads of one
process it excludes nobody.
"""

from __future__ import annotations

import fcntl
import time

SPIN_S = 1.0
"""How long the rare paths (grow, replace, claim) try a lock before they do without or give up."""
_PAUSE_S = 0.0005

GROW_BYTE = (1 << 40) + 0
REPLACE_BYTE = (1 << 40) + 1
_SLOT_BYTES = 1 << 41
_COLUMN_BYTES = 1 << 42
_BUCKET_BYTES = 1 << 43
BUCKETS = 3
"""Of a rate, of which one is in use: two processes may be stopped while they hold one, and others still go on."""


def slot_byte(slot: int) -> int:
    """Guards who owns a slot, not its counters."""
    return _SLOT_BYTES + slot


def column_byte(column: int) -> int:
    """Guards what of a column's SHARED cells is changed by read-modify-write: its cursor."""
    return _COLUMN_BYTES + column


def bucket_byte(column: int, which: int) -> int:
    """Guards one of a column's BUCKETS; ``which`` BUCKETS: who says which of them is in use."""
    return _BUCKET_BYTES + (BUCKETS + 1) * column + which


def try_lock(fd: int, byte: int) -> bool:
    """Take the lock without waiting. False: somebody else has it (or the kernel has no room for locks)."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError:
        return False
    return True


def unlock(fd: int, byte: int) -> None:
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, byte)


def lock_within(fd: int, byte: int, patience_s: float = SPIN_S) -> bool:
    """Try until ``patience_s`` has passed. Blocks the whole process: never call it for a request."""
    deadline = time.monotonic() + patience_s
    while not try_lock(fd, byte):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_S)
    return True
