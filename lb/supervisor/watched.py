"""Whether the configuration file has been written anew: looked at once a second, by what ``stat`` says.

A file that is being written is left alone until it looks the same twice. A symbolic link counts as what it
leads to, so that a Kubernetes ConfigMap that is swapped below it is a change, too.
"""

from __future__ import annotations

import os
import stat

INTERVAL_S = 1.0

Looks = tuple[int, ...]
"""Device, inode, size and time of change; empty: there is no file."""


class WatchedFile:
    """``due``: when to look again. ``known``: what the file looked like when it was read last."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.known: Looks = ()
        self._seen: Looks = ()
        self.due = 0.0

    def note(self) -> None:
        """The file is about to be read: what it looks like now is known."""
        self.known = self._seen = self._look()

    def forget(self) -> None:
        """It was not read after all: what it looks like now is news again."""
        self.known = ()

    def has_changed(self, now: float) -> bool:
        """Says so once for each change. A file that is gone is no news: whoever replaces one may remove it first."""
        if now < self.due:
            return False
        self.due = now + INTERVAL_S
        before, self._seen = self._seen, self._look()
        if not self._seen or self._seen == self.known or self._seen != before:
            return False
        self.known = self._seen
        return True

    def _look(self) -> Looks:
        try:
            found = os.stat(self._path)
        except OSError:
            return ()
        if not stat.S_ISREG(found.st_mode):
            return ()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
