"""How the controller stands with the store, as a number in the segment and as words: workers say them, and never import what
talks to the store."""

from __future__ import annotations

REASONS = (
    "answers with an error",
    "has not been reached yet",
    "refuses our user or password",
    "does not let our user do this",
    "is full (maxmemory)",
    "is a read-only replica",
    "is still loading its data",
    "is a cluster that is down",
    "cannot be asked: too many calls are under way",
    "does not answer in time",
    "cannot be reached",
    "has keys of a version that this program does not know",
    "is not who its certificate says, or not signed by whom we trust",
    "takes no more clients (maxclients)",
)
"""Behind "the store"; the place is the number. Only ever added to: another version of lb may read it."""
OTHER, UNREACHED, LOGIN, RIGHTS, FULL, READ_ONLY, LOADING, CLUSTER, BUSY, SILENT, GONE, VERSION, TRUST, CLIENTS = range(
    14
)


def reason_text(number: int) -> str:
    return REASONS[number] if 0 <= number < len(REASONS) else REASONS[OTHER]
