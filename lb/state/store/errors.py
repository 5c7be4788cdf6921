"""What may come of asking the store. Apart from the link, which loads redis-py: a third of a second of a controller's start."""

from __future__ import annotations


class StoreError(Exception):
    """A call came to nothing. The text says why, for people, and holds no password."""


class StoreDown(StoreError):
    """The link is down, or went down with this call."""
