"""Who listens on an address that we wanted: read from ``/proc``, for an error message only.

Best effort: other users' processes cannot be read, and then nothing is said about them.
"""

from __future__ import annotations

import contextlib
import os

from lb.supervisor.addresses import split_host_port

_LISTEN = "0A"


def who_listens(address: str) -> str:
    """``held by pid 12 (python -m ...)``, or an empty text when it cannot be found out."""
    inodes = _unix_inodes(address[5:]) if address.startswith("unix:") else _tcp_inodes(split_host_port(address)[1])
    pids = sorted(_pids_with(inodes)) if inodes else []
    if not pids:
        return ""
    others = f" and {len(pids) - 1} more" if len(pids) > 1 else ""
    return f"held by pid {pids[0]}{others}: {_command(pids[0])}"


def _tcp_inodes(port: int) -> set[str]:
    wanted = f"{port:04X}"
    return {
        columns[9]
        for name in ("tcp", "tcp6")
        for columns in _rows(name)
        if len(columns) > 9 and columns[3] == _LISTEN and columns[1].rpartition(":")[2] == wanted
    }


def _unix_inodes(path: str) -> set[str]:
    return {columns[6] for columns in _rows("unix") if len(columns) > 7 and columns[7] == path}


def _rows(name: str) -> list[list[str]]:
    with contextlib.suppress(OSError), open(f"/proc/net/{name}", errors="replace") as table:
        return [row.split() for row in table][1:]
    return []


def _pids_with(inodes: set[str]) -> set[int]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return {int(pid) for pid in os.listdir("/proc") if pid.isdigit() and not wanted.isdisjoint(_links(pid))}


def _links(pid: str) -> list[str]:
    links = []
    with contextlib.suppress(OSError):  # not ours to read, or gone
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return links


def _command(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return " ".join(file.read(300).decode("ascii", "replace").rstrip("\0").split("\0"))
    return "?"
