"""Whether the configuration file, or one of a user's own policies, has been written anew: looked at once a second, by what ``stat`` says.

A file that is being written is left alone until it looks the same twice. A symbolic link counts as what it
leads to, so that a Kubernetes ConfigMap that is swapped below it is a change, too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

INTERVAL_S = 1.0

Looks = tuple[int, ...]
"""Device, inode, size and time of change; empty: there is no file."""


class WatchedFile:
    """``due``: when to look again. Beside the configuration it looks at the files that it is made with (``also``)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._known: dict[str, Looks] = {path: ()}
        """What each file looked like when it was read last."""
        self._seen: dict[str, Looks] = {}
        self.due = 0.0

    @property
    def known(self) -> Looks:
        """Of the configuration's file."""
        return self._known[self._path]

    @known.setter
    def known(self, looks: Looks) -> None:
        self._known[self._path] = looks

    def also(self, paths: Iterable[str]) -> None:
        """These were read with it. One that was not watched before is known as it is now."""
        self._known = {path: self._known[path] if path in self._known else _look(path) for path in (self._path, *paths)}

    def note(self) -> None:
        """They are about to be read: what they look like now is known."""
        self._known = self._seen = self._look()

    def forget(self) -> None:
        """They were not read after all: what they look like now is news again."""
        self._known = dict.fromkeys(self._known, ())

    def has_changed(self, now: float) -> bool:
        """Says so once for each change. A file that is gone is no news: whoever replaces one may remove it first."""
        if now < self.due:
            return False
        self.due = now + INTERVAL_S
        before, self._seen = self._seen, self._look()
        changed = [path for path, looks in self._seen.items() if looks and looks != self._known[path]]
        if not changed or any(self._seen[path] != before.get(path) for path in changed):
            return False
        self._known = {**self._known, **{path: self._seen[path] for path in changed}}
        return True

    def _look(self) -> dict[str, Looks]:
        return {path: _look(path) for path in self._known}


def _look(path: str) -> Looks:
    try:
        found = os.stat(path)
    except OSError:
        return ()
    if not stat.S_ISREG(found.st_mode):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
