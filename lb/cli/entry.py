"""What the installed command ``lb`` calls. ``lb run FILE`` becomes the supervisor from here; all else is click's.

Most of what a command line loads has no part in a supervisor, and would be a tenth of a second between the shell and
the first request.
"""

from __future__ import annotations

import os
import sys

from lb.launch import program
from lb.supervisor import early

DEFAULT_FILE = "lb.yaml"


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and len(arguments) <= 2 and not arguments[-1].startswith("-"):
        become_supervisor(*arguments[1:])
    from lb.cli.main import main as commands

    commands()


def become_supervisor(file: str = DEFAULT_FILE) -> None:
    """It does not return. Exits with status 1 where our own interpreter may not be executed (one below /root, say)."""
    early.hold()
    if sys.stdout is not None:  # closed by whoever started us
        sys.stdout.flush()
    argv = program("lb.supervisor", file)
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        sys.exit(
            f"lb run: {argv[0]} cannot be executed by this user: {error.strerror}; install into a place that it may read"
        )


if __name__ == "__main__":
    main()
