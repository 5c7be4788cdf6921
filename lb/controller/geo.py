"""Keeps the copy of the geo database that workers use as new as the file that the configuration names.

Looks at the file once a second; one that cannot be used is said once, and leaves what is in use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent

from lb.controller.periodic import Periodic
from lb.model import Snapshot
from lb.state import geo_file
from lb.state.geo_file import GeoFileError, Signature
from lb.state.layout import GEO_LOADED, GEO_MISSING, GEO_NONE, H_GEO, H_GEO_BUILT_S, H_GEO_REFUSED
from lb.state.segment import Segment

LOOK_S = 1.0
LOOKS_TO_RETRY = 30
"""A disk that was full, or a right to read that was missing, changes nothing about the file."""
_log = logging.getLogger("lb.geo")


Run = Callable[[Callable[[], str]], str]


def _in_a_thread(work: Callable[[], str]) -> str:
    """Reading and writing some megabytes must not hold the other loops up."""
    return str(gevent.get_hub().threadpool.apply(work))


class GeoKeeper:
    """One per controller."""

    def __init__(self, run: Run = _in_a_thread) -> None:
        self._run = run
        self._source = self._state_dir = ""
        self._segment: Segment | None = None
        self._seen: Signature | None = None
        """The file that the last copy was tried of; None: nothing was tried."""
        self._problem = ""
        self._looks = 0
        """Since it was tried last."""
        self._built_s: int | None = None
        """Of the copy; None: there is none."""
        self._loop = Periodic("geo", self._step)

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        geo, state_dir = snapshot.config.geo, snapshot.config.state.dir
        source = geo.database if geo else ""
        if (source, state_dir) != (self._source, self._state_dir):
            self._seen, self._problem, self._built_s = None, "", None
        self._source, self._state_dir, self._segment = source, state_dir, segment
        self._loop.start()
        self._loop.wake()

    def stop(self) -> None:
        self._loop.stop()

    def _step(self) -> float:
        self.look()
        return LOOK_S

    def look(self) -> None:
        """Two system calls while nothing has changed."""
        if self._source and self._is_due():
            self._renew()
        elif not self._source and self._seen is None:
            self._seen = ()
            geo_file.remove_others("", self._state_dir)
        self._tell()

    def _is_due(self) -> bool:
        self._looks += 1
        found = geo_file.signature(self._source)
        if found == self._seen and not self._is_to_repeat():
            return False
        self._seen, self._looks = found, 0
        return True

    def _is_to_repeat(self) -> bool:
        if self._problem:
            return self._looks >= LOOKS_TO_RETRY
        return not geo_file.signature(geo_file.copy_path(self._source, self._state_dir))

    def _renew(self) -> None:
        source, state_dir = self._source, self._state_dir
        problem = self._run(lambda: _renewed(source, state_dir))
        if source != self._source:  # another configuration came meanwhile
            return
        geo_file.remove_others(source, state_dir)
        self._built_s = geo_file.built_s(source, state_dir)
        self._report(problem)

    def _report(self, problem: str) -> None:
        """One line per change."""
        if problem and problem != self._problem:
            known = self._built_s is not None
            kept = "the last good one stays in use" if known else "every client is in the default region"
            _log.warning('geo usable=no reason="%s": %s', problem, kept)
        elif self._problem and not problem:
            _log.info("geo usable=yes database=%s", self._source)
        self._problem = problem

    def _tell(self) -> None:
        assert self._segment is not None
        header = self._segment.header
        state = GEO_NONE if not self._source else GEO_MISSING if self._built_s is None else GEO_LOADED
        header[H_GEO], header[H_GEO_BUILT_S], header[H_GEO_REFUSED] = (
            state,
            self._built_s or 0,
            int(bool(self._problem)),
        )


def _renewed(source: str, state_dir: str) -> str:
    """Why there is no new copy, or nothing. Does not raise: a thread of gevent's would print it."""
    try:
        geo_file.renew(source, state_dir)
    except GeoFileError as error:
        return str(error)
    return ""
