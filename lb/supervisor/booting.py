"""A worker that is told to end while it boots ends.

gunicorn forks with the arbiter's handlers in place, which in the child only put the signal into a queue
that nobody reads; the worker's own come later. A SIGTERM in between is lost: the arbiter waits for the
worker until ``graceful_timeout`` and then kills it, by then in the middle of requests (found by trying:
a stop right after a start lost some).
"""

from __future__ import annotations

import os
import signal

ENDING = (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT)


def end_booting_workers() -> None:
    """Called once in an arbiter, before its first fork. From then on each fork has the default action for
    signals that end it, until it says otherwise; one that came meanwhile is kept for it."""
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_default)


def _block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _default() -> None:
    for number in ENDING:
        signal.signal(number, signal.SIG_DFL)
    _unblock()
