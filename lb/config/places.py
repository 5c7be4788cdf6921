"""Where files are: paths of a configuration, and state when it does not say. Without pydantic, for the CLI too."""

from __future__ import annotations

import os
from collections.abc import Mapping

SYSTEM_STATE_DIR = "/var/lib/lb"


def default_state_dir(environ: Mapping[str, str]) -> str:
    """``/var/lib/lb`` for root or where it can be written, else ``~/.local/state/lb``.

    Looks, creates nothing.
    """
    if os.geteuid() == 0 or os.access(SYSTEM_STATE_DIR, os.W_OK):
        return SYSTEM_STATE_DIR
    home = environ.get("HOME") or os.path.expanduser("~")
    return os.path.join(home, ".local", "state", "lb")


def file_path(folder: str, path: str) -> str:
    """A path as written in a file that is in ``folder``, made absolute; ``~`` is the home directory."""
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))
