"""Where clients are, as one worker looks it up: the controller's copy of the geo database, opened anew when it is replaced.

Without a usable copy every address is nowhere, which is what the region map makes the default region of.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from lb.http1.forwarded import parse_address
from lb.model import Geo
from lb.proxy.regions import NOWHERE
from lb.state.geo_file import copy_path, open_copy, signature

if TYPE_CHECKING:
    from lb.geo.database import Database

_log = logging.getLogger("lb.geo")


class GeoLocator:
    """One per worker. A database that was replaced stays mapped until the next look; nothing ever changes in it."""

    def __init__(self) -> None:
        self._source = self._state_dir = ""
        self._seen: tuple[int, ...] = ()
        self._unusable: tuple[int, ...] = ()
        """A copy that could not be opened; it may be our descriptors that were short, so it is tried again."""
        self._database: Database | None = None

    def follow(self, geo: Geo | None, state_dir: str) -> None:
        """From now on this configuration's."""
        source = geo.database if geo else ""
        if (source, state_dir) != (self._source, self._state_dir):
            self._source, self._state_dir = source, state_dir
            self._seen, self._database = (), None
        if source:
            import_module("lb.geo.database")  # now, and not when a database comes and requests would wait for it
        self.look()

    def look(self) -> bool:
        """Whether another database is in use now. One system call while nothing has changed; never raises."""
        if not self._source:
            return False
        found = signature(copy_path(self._source, self._state_dir))
        if found == self._seen:
            return False
        if not found:  # whoever took the copy away has not taken ours
            return False
        try:
            self._database = open_copy(self._source, self._state_dir)
        except Exception as error:  # noqa: BLE001  a database is a stranger's file: requests go on without it
            if found != self._unusable:
                _log.error("geo database=%s kept the old one: %s", self._source, error)
            self._unusable = found
            return False
        self._seen = found
        _log.info("geo database=%s type=%s built=%d in use", self._source, self._database.kind, self._database.built_s)
        return True

    def place_of(self, address: bytes) -> tuple[str, str]:
        """Codes of country and continent. Never raises: junk, a zone id or a unix socket's peer is nowhere."""
        database = self._database
        if database is None:
            return NOWHERE
        parsed = parse_address(address)
        return NOWHERE if parsed is None else database.place_of(parsed)
