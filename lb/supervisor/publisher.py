"""Puts a configuration file in force: ``python -m lb.supervisor.publisher [--ask] FILE``.

Always a process of its own: it validates (YAML, pydantic), and no worker, supervisor or controller may load
that. Whoever publishes does it by this command, for its check: what was started beside a running ``lb run``,
a second one or a WSGI server, must not put its configuration in force on that. With ``--ask`` the supervisor
is told first what it has to claim and bind: the state directory is made if need be, the outline printed, and
nothing put in force unless it agrees. One reading of the file, so that both are the same configuration.

Exit status 0: the snapshot's path on standard output. 2: the configuration's problems on standard error, one
per line; a state directory that is in use or cannot be made is one. 1: it is right but cannot be put in place
(no room, no rights). Nothing has changed after 1 or 2.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable

from lb.errors import ConfigError
from lb.model import Config
from lb.state.process import RUN_PID
from lb.state.publish import PublishError, StateDirError, make_state_dir, publish, snapshot_path
from lb.state.segment import SegmentError
from lb.supervisor import outline
from lb.supervisor.errand import ask
from lb.supervisor.pidfile import owner


def main(path: str, is_agreed: Callable[[Config], bool]) -> int:
    from lb.config.load import load, state_dir_problem  # here: YAML and pydantic come with it, see below

    try:
        config = load(path, os.environ)
        _refuse_second(config)
        if not is_agreed(config):
            return 1  # the supervisor has ended; nobody reads why
        print(snapshot_path(publish(config).config.state.dir))
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


def _ask(config: Config) -> bool:
    make_state_dir(config.state.dir)
    print(outline.dump(config))
    return ask()


def _refuse_second(config: Config) -> None:
    pid = owner(config.state.dir)
    if pid is not None and str(pid) != os.environ.get(RUN_PID):
        raise ConfigError([f"{config.source}: state.dir {config.state.dir} is in use by another lb run (pid {pid})"])


if __name__ == "__main__":
    # As it was launched, and whatever else it was started by. All that is built lives until the end, soon: looking for garbage
    # in it costs a third of a large file's time (10,000 backends: 1.1 s, 0.75 s without), and saves no memory.
    gc.disable()
    sys.exit(main(sys.argv[-1], _ask if sys.argv[1] == "--ask" else lambda _: True))
