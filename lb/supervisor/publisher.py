"""The supervisor's publisher: ``python -m lb.supervisor.publisher [--outline] FILE``, a child process.

``python -m lb.state.publish`` with one check in between: a second ``lb run`` that was started by
mistake must not put its configuration in force on the machine's running one. Output and exit
status are those of ``lb.state.publish``. With ``--outline`` nothing is put in force: the state
directory is made if need be, and the output is what the supervisor binds and claims first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from lb.config.load import load, state_dir_problem
from lb.errors import ConfigError
from lb.model import Config
from lb.state.process import RUN_PID
from lb.state.publish import PublishError, StateDirError, make_state_dir, publish, snapshot_path
from lb.state.segment import SegmentError
from lb.supervisor import outline
from lb.supervisor.pidfile import owner


def main(path: str, answer: Callable[[Config], str]) -> int:
    try:
        config = load(path, os.environ)
        _refuse_second(config)
        print(answer(config))
    except ConfigError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 2
    except StateDirError as error:
        print(state_dir_problem(path, os.environ, str(error)), file=sys.stderr)
        return 2
    except (PublishError, SegmentError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _published(config: Config) -> str:
    return snapshot_path(publish(config).config.state.dir)


def _outline(config: Config) -> str:
    make_state_dir(config.state.dir)
    return outline.dump(config)


def _refuse_second(config: Config) -> None:
    pid = owner(config.state.dir)
    if pid is not None and str(pid) != os.environ.get(RUN_PID):
        raise ConfigError([f"{config.source}: state.dir {config.state.dir} is in use by another lb run (pid {pid})"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1], _outline if sys.argv[1] == "--outline" else _published))
