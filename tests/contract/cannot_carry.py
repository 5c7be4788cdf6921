"""What each subject cannot carry, and why. Every line is tried: one that works after all is a failure."""

from __future__ import annotations

CANNOT_CARRY: dict[tuple[str, str], str] = {}
