"""What each subject cannot carry, and why. Every line is tried: one that works after all is a failure."""

from __future__ import annotations

from typing import NamedTuple


class Lost(NamedTuple):
    """``status``: what the client gets instead of what it should; None: it differs otherwise."""

    reason: str
    status: int | None = None


CANNOT_CARRY: dict[tuple[str, str], Lost] = {}
