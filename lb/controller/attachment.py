"""What the controller works on: the snapshot file and the shared segment it names.

Follows both. A snapshot that cannot be read or a segment that is gone is a problem to report, not
an end: the last good ones stay in use. Knows nothing of what is done with them.
"""

from __future__ import annotations

import logging
import os

from lb.config.snapshot import read, read_or_copy
from lb.errors import ConfigError
from lb.model import Snapshot
from lb.state.segment import Segment, SegmentError

SNAPSHOT_VARIABLE = "LB_SNAPSHOT"
_log = logging.getLogger("lb.controller")


class Attachment:
    """``snapshot`` and ``segment`` are None until they could first be read; each ``refresh`` may
    replace them. A snapshot's columns may reach beyond a segment that somebody has just replaced:
    whoever reads a column must expect SegmentError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.snapshot: Snapshot | None = None
        self.segment: Segment | None = None
        self.problem = ""
        self._signature: tuple[int, ...] = ()
        self._previous: Segment | None = None

    @classmethod
    def from_environment(cls) -> Attachment:
        return cls(os.environ.get(SNAPSHOT_VARIABLE, ""))

    def refresh(self) -> None:
        """Look at both files; a few system calls when nothing has changed. Never raises."""
        try:
            problem = self._refresh_snapshot()
            self._refresh_segment()
        except (ConfigError, SegmentError) as error:
            self._report(str(error))
        else:
            self._report(problem)

    def _refresh_snapshot(self) -> str:
        """What is wrong with the file although there is a snapshot to work on: the last one, or the copy.

        Looks at the file's identity rather than the segment's generation: it is written first, and it is
        all there is while the segment is gone."""
        if not self.path:
            raise ConfigError([f"{SNAPSHOT_VARIABLE} is not set"])
        try:
            signature = self._signature_now()
            if self.snapshot is None or signature != self._signature:
                self.snapshot, self._signature = read(self.path), signature
        except ConfigError as error:
            self.snapshot = self.snapshot or read_or_copy(self.path).snapshot
            return str(error)
        return ""

    def _signature_now(self) -> tuple[int, ...]:
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot read snapshot: {error.strerror}"]) from error
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size

    def _refresh_segment(self) -> None:
        assert self.snapshot is not None
        held = self.segment
        if held is None or held.path != self.snapshot.segment or held.is_stale():
            self.segment = Segment.open(self.snapshot.segment)
            self._set_aside(held)
        else:
            held.refresh()

    def _set_aside(self, segment: Segment | None) -> None:
        """Closed at the next replacement: until the probers have moved, they still write to it."""
        if self._previous is not None:
            self._previous.close()
        self._previous = segment

    def _report(self, problem: str) -> None:
        """One line per change, not one per look."""
        if problem and problem != self.problem:
            _log.warning("attachment state=degraded problem=%s", problem.replace("\n", "; "))
        elif self.problem and not problem:
            _log.info("attachment state=ok")
        self.problem = problem
