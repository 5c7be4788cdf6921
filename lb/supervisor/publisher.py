"""The supervisor's publisher: ``python -m lb.supervisor.publisher FILE``, a child process.

``python -m lb.state.publish`` with one check in between: a second ``lb run`` that was started by
mistake must not put its configuration in force on the machine's running one. Output and exit
status are those of ``lb.state.publish``.
"""

from __future__ import annotations

import os
import sys

from lb.config.load import load
from lb.errors import ConfigError
from lb.model import Config
from lb.state.publish import PublishError, publish, snapshot_path
from lb.state.segment import SegmentError
from lb.supervisor.pidfile import RUN_PID, owner


def main(path: str) -> int:
    try:
        config = load(path, os.environ)
        _refuse_second(config)
        snapshot = publish(config)
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except (PublishError, SegmentError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(snapshot_path(snapshot.config.state.dir))
    return 0


def _refuse_second(config: Config) -> None:
    pid = owner(config.state.dir)
    if pid is not None and str(pid) != os.environ.get(RUN_PID):
        raise ConfigError([f"{config.source}: state.dir {config.state.dir} is in use by another lb run (pid {pid})"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
