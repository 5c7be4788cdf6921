"""How large and how often: as ``make test`` has time for, or (``LB_CHAOS=full``, set by ``make chaos``) in full."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("LB_CHAOS") == "full"
TIMES = int(os.environ.get("LB_CHAOS_TIMES", "1000" if IS_FULL else "20"))
"""Reloads, upgrades and restarts under load."""
MIB = 1024 * 1024
STREAM_BYTES = (2048 if IS_FULL else 1024) * MIB
"""A body that must not show in anybody's memory."""
SHORT_STREAM_BYTES = (2048 if IS_FULL else 160) * MIB
"""The same where it takes long: on the WSGI path, and in chunks."""
