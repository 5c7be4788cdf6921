"""Signals that come before anybody handles them wait, instead of ending what has just begun.

Called first thing by whatever becomes the supervisor, so it loads nothing. The mask stays over an ``exec``, and
``Wakeup`` lets them in.
"""

from __future__ import annotations

import signal

HANDLED = (
    signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD,
    signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU,
)  # fmt: skip
"""The last three mean something to gunicorn and nothing to us: they are caught so that they do no harm."""


def hold() -> None:
    """From now on they wait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


def let_in() -> None:
    """Those that have come, and the next ones."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
