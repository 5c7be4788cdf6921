"""What can become of a store, and what ``/health/ready`` says then. Each is begun and ended on a real Redis."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from redis import RedisError

from tests.support.balancer import PROJECT
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

SECRET = "s3cret.of-the/store"
QUOTED = "s3cret.of-the%2Fstore"
_FILLERS_PER_S = 100
"""It looks at its clients between two keys."""
Step = Callable[[RedisServer, float], None]


def acl_line() -> list[str]:
    """Words of the one that the documentation shows, with our secret."""
    return _documented(r"^user (lb on >PASSWORD .*)$").replace(">PASSWORD", f">{SECRET}").split()


def cluster_acl_line() -> list[str]:
    """The same for a cluster's nodes."""
    return [*acl_line(), *_documented(r"`(\+cluster\|slots[^`]*)`").split()]


def _documented(pattern: str) -> str:
    found = re.search(pattern, (PROJECT / "docs" / "shared-state.md").read_text(), re.MULTILINE)
    assert found is not None, pattern
    return found[1]


@dataclass(frozen=True)
class Fault:
    """``said``: any of these in ``/health/ready``; none: it is over before anybody notices. ``begin`` is told how long it
    is to last; ``end`` returns when the store is itself again."""

    name: str
    said: str
    begin: Step
    end: Step

    def __str__(self) -> str:
        return self.name


def _pause(server: RedisServer, seconds: float) -> None:
    server.client().execute_command("CLIENT", "PAUSE", int(seconds * 1000))


def _wait_until_it_answers(server: RedisServer, _: float) -> None:
    server.client(socket_timeout=60).ping()


def _restart(server: RedisServer, _: float) -> None:
    server.start()


def _flush(server: RedisServer, _: float) -> None:
    server.client().flushall()


def _change_password(server: RedisServer, _: float) -> None:
    server.client().execute_command("ACL", "SETUSER", "lb", "resetpass", ">another")
    _disconnect_all(server)


def _change_password_back(server: RedisServer, _: float) -> None:
    server.client().execute_command("ACL", "SETUSER", "lb", "resetpass", f">{SECRET}")


def _disconnect_all(server: RedisServer) -> None:
    for kind in ("normal", "pubsub"):
        server.client().execute_command("CLIENT", "KILL", "TYPE", kind)


def _make_replica(server: RedisServer, _: float) -> None:
    server.client().execute_command("REPLICAOF", "127.0.0.1", "1")


def _make_master(server: RedisServer, _: float) -> None:
    server.client().execute_command("REPLICAOF", "NO", "ONE")


def _fill(server: RedisServer, _: float) -> None:
    server.client().config_set("maxmemory-policy", "noeviction")
    server.client().config_set("maxmemory", "1")


def _empty(server: RedisServer, _: float) -> None:
    server.client().config_set("maxmemory", "0")


def _crowd(server: RedisServer, _: float) -> None:
    """Our own connection is the one client that it takes."""
    server.crowd = server.client()  # type: ignore[attr-defined]
    server.crowd.config_set("maxclients", "1")  # type: ignore[attr-defined]
    for kind in ("normal", "pubsub"):
        server.crowd.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")  # type: ignore[attr-defined]


def _disperse(server: RedisServer, _: float) -> None:
    server.crowd.config_set("maxclients", "1000")  # type: ignore[attr-defined]


def _load_slowly(server: RedisServer, seconds: float) -> None:
    """It comes back with all that it had, and takes so long to read it."""
    client = server.client()
    client.mset({f"filler:{number}": "x" * 2000 for number in range(int(seconds * _FILLERS_PER_S))})
    client.save()
    server.kill()
    delay_us = int(1e6 / _FILLERS_PER_S)
    server.start("--key-load-delay", str(delay_us), "--loading-process-events-interval-bytes", "1024")


def _wait_until_loaded(server: RedisServer, seconds: float) -> None:
    wait_for("it to be loaded", lambda: _is_loaded(server))
    client = server.client()
    client.config_set("key-load-delay", "0")
    client.delete(*(f"filler:{number}" for number in range(int(seconds * _FILLERS_PER_S))))
    (Path(server.folder) / "dump.rdb").unlink()


def _is_loaded(server: RedisServer) -> bool:
    try:
        return bool(server.client().ping())
    except RedisError:
        return False


def _nothing(server: RedisServer, _: float) -> None:
    return


FAULTS = (
    Fault("CLIENT PAUSE", "does not answer in time", _pause, _wait_until_it_answers),
    Fault("wrong password", "refuses our user or password", _change_password, _change_password_back),
    Fault("read-only replica", "is a read-only replica", _make_replica, _make_master),
    Fault("full memory", "is full (maxmemory)", _fill, _empty),
    Fault("FLUSHALL", "", _flush, _nothing),
    Fault("maxclients", "maxclients|cannot be reached", _crowd, _disperse),
    Fault("SIGSTOP", "does not answer in time", lambda server, _: server.stop(), lambda server, _: server.go_on()),
    Fault("LOADING", "is still loading its data|cannot be reached", _load_slowly, _wait_until_loaded),
    Fault("kill -9", "cannot be reached", lambda server, _: server.kill(), _restart),
)


def last(seconds: float, since: float) -> None:
    """A fault goes on until it is so old."""
    time.sleep(max(0.0, since + seconds - time.monotonic()))
