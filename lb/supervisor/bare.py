"""What a gunicorn conf module needs to know, under ``lb run`` and when gunicorn is started by hand.

Under ``lb run`` snapshot and sockets are there already. By hand (``LB_CONFIG=FILE gunicorn -c
python:lb.server.gunicorn_conf ...``) the configuration is published here, once, in a child process,
and the sockets are opened here: gunicorn would refuse ``[::]:P`` beside ``0.0.0.0:P``, and try five
seconds at a port in use.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, MutableMapping, Sequence

from lb.config import snapshot as snapshot_file
from lb.errors import ConfigError
from lb.launch import program
from lb.model import Config, Snapshot
from lb.state.process import RUN_PID
from lb.state.reload import record
from lb.supervisor.addresses import Bind, match_names
from lb.supervisor.inherited import inherited_names
from lb.supervisor.sockets import BindError, Held, url_of

SNAPSHOT, CONFIG = "LB_SNAPSHOT", "LB_CONFIG"
MISTAKE = 2
_LOOK_ONLY = ("--check-config", "--print-config")


def snapshot_in_force(environ: MutableMapping[str, str]) -> Snapshot:
    """The snapshot to run on; published and put into ``environ`` if nobody has. Exits with status 2
    and the problems on stderr if there is none."""
    try:
        if SNAPSHOT not in environ:
            environ[SNAPSHOT] = _published(environ)
            record(os.path.dirname(environ[SNAPSHOT]), [])
        return snapshot_file.read_or_copy(environ[SNAPSHOT]).snapshot  # the workers say what is wrong with it
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(MISTAKE)


def publish_again(environ: MutableMapping[str, str]) -> list[str]:
    """For gunicorn's own HUP: put the file in force anew. Its problems; then nothing has changed."""
    if is_supervised(environ):
        return []
    try:
        _published(environ)
        problems: list[str] = []
    except ConfigError as error:
        problems = error.problems
    with contextlib.suppress(ConfigError):  # no snapshot to be read: then nobody shows it either
        record(snapshot_file.read(environ[SNAPSHOT]).config.state.dir, problems)
    return problems


def is_supervised(environ: MutableMapping[str, str]) -> bool:
    return environ.get(RUN_PID) == str(os.getppid())


def _published(environ: MutableMapping[str, str]) -> str:
    command = program("lb.supervisor.publisher", environ.get(CONFIG, "lb.yaml"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(done.stderr.splitlines() or [f"the publisher ended with status {done.returncode}"])
    return done.stdout.strip()


def listen(wanted: tuple[Bind, ...], environ: MutableMapping[str, str]) -> list[str]:
    """Values for gunicorn's ``bind``. Afterwards ``LISTEN_FDNAMES`` names the listener of every socket
    in order, wherever the sockets come from; workers read it. Exits with status 2 if one is not to be had."""
    addresses = [bind.address for bind in wanted]
    if is_supervised(environ) or "GUNICORN_FD" in environ or any(option in sys.argv for option in _LOOK_ONLY):
        return addresses  # the sockets and their names are inherited, or not needed
    try:
        names = inherited_names(environ)
        binds = match_names(names, wanted) if names else _opened(wanted)
    except (BindError, ValueError) as mistake:
        print(mistake, file=sys.stderr)
        sys.exit(MISTAKE)
    environ["LISTEN_FDNAMES"] = ":".join(bind.listener for bind in binds)
    return addresses if names else [f"fd://{_HELD.hand_out(bind)}" for bind in binds]


def places(config: Config, sockets: Sequence[socket.socket], environ: Mapping[str, str]) -> str:
    """``traffic=http://127.0.0.1:5000 ...``: every socket under the name of its listener."""
    secure = {listener.id for listener in config.listeners if listener.certificates}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return " ".join(
        f"{name}={url_of(sock, 'https' if name in secure else 'http')}"
        for name, sock in zip(names, sockets, strict=False)
    )


_HELD = Held()


def _opened(wanted: tuple[Bind, ...]) -> list[Bind]:
    return list(_HELD.ensure(wanted))
