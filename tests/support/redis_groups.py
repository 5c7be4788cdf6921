"""Several real Redis servers that are one store: a master that Sentinels watch, and a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis, RedisError

from tests.support.ports import free_ports
from tests.support.redis_server import RedisServer, redis_server, redis_server_program
from tests.support.waiting import wait_for

DOWN_AFTER_MS = 500
"""Of Sentinels and of the cluster's nodes."""
SLOTS = 16384


@dataclass
class Watched:
    """``servers``: the first master and its replica."""

    servers: Sequence[RedisServer]
    sentinel_ports: Sequence[int]

    def url(self, login: str = "") -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return f"redis+sentinel://{login}{hosts}/lb/0"

    @property
    def master(self) -> RedisServer:
        """As the Sentinels have it now."""
        _, port = Redis(port=self.sentinel_ports[0]).execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "lb")
        return next(server for server in self.servers if server.port == int(port))


@contextmanager
def sentinels(folder: Path, *options: str) -> Iterator[Watched]:
    """Three of them, one master, one replica."""
    with ExitStack() as stack:
        fast = ("--repl-diskless-sync-delay", "0", *options)
        master = stack.enter_context(redis_server(*fast))
        replica = stack.enter_context(redis_server("--replicaof", "127.0.0.1", str(master.port), *fast))
        wait_for("the replica", lambda: replica.client().info("replication").get("master_link_status") == "up")
        ports = free_ports(3)
        for port in ports:
            stack.callback(_ended, _sentinel(folder / str(port), port, master.port))
        watched = Watched((master, replica), ports)
        wait_for("Sentinels", lambda: all(map(_knows_all, ports)))
        yield watched


def _sentinel(folder: Path, port: int, master: int) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel monitor lb 127.0.0.1 {master} 2",
        f"sentinel down-after-milliseconds lb {DOWN_AFTER_MS}",
        "sentinel failover-timeout lb 4000",
    ]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    argv = [redis_server_program("redis-sentinel"), str(folder / "sentinel.conf")]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _knows_all(port: int) -> bool:
    try:
        said = Redis(port=port, decode_responses=True).execute_command("SENTINEL", "MASTER", "lb")
    except (RedisError, OSError):
        return False
    found = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
    return (int(found["num-slaves"]), int(found["num-other-sentinels"])) == (1, 2)


@dataclass
class Clustered:
    """``masters``: at first. ``replica`` is of the one that has all keys of ``tag``, ``owner``."""

    masters: Sequence[RedisServer]
    owner: RedisServer
    replica: RedisServer
    slot: int

    def url(self, login: str = "") -> str:
        return f"redis+cluster://{login}" + ",".join(f"127.0.0.1:{server.port}" for server in self.masters)

    def begin_moving(self, target: RedisServer, keys: int) -> None:
        """The slot is on its way to ``target``, and so many of its keys are there already."""
        source_id, target_id = (str(one.client().execute_command("CLUSTER MYID")) for one in (self.owner, target))
        target.client().execute_command("CLUSTER SETSLOT", self.slot, "IMPORTING", source_id)
        self.owner.client().execute_command("CLUSTER SETSLOT", self.slot, "MIGRATING", target_id)
        self._move(target, keys)

    def _move(self, target: RedisServer, count: int) -> bool:
        names = self.owner.client().execute_command("CLUSTER GETKEYSINSLOT", self.slot, count)
        if names:
            command = ("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *names)
            self.owner.client().execute_command(*command)
        return bool(names)

    def finish_moving(self, target: RedisServer) -> None:
        while self._move(target, 100):
            pass
        target_id = str(target.client().execute_command("CLUSTER MYID"))
        for server in (target, self.owner, *self.masters):
            server.client().execute_command("CLUSTER SETSLOT", self.slot, "NODE", target_id)
        self.owner = target


@contextmanager
def redis_cluster(tag: str, *options: str) -> Iterator[Clustered]:
    """Three masters, and a replica of the one that has the keys with this tag."""
    enabled = (
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        str(DOWN_AFTER_MS),
        "--repl-diskless-sync-delay",
        "0",
    )
    with ExitStack() as stack:
        servers = [stack.enter_context(redis_server(*enabled, *options)) for _ in range(4)]
        *masters, replica = servers
        for place, server in enumerate(masters):
            first, beyond = SLOTS * place // 3, SLOTS * (place + 1) // 3
            server.client().execute_command("CLUSTER ADDSLOTSRANGE", first, beyond - 1)
        for server in servers[1:]:
            server.client().execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
        slot = int(masters[0].client().execute_command("CLUSTER KEYSLOT", tag))
        owner = masters[slot * 3 // SLOTS]
        wait_for("the cluster", lambda: all(_nodes(server) == 4 for server in servers))
        replica.client().execute_command("CLUSTER REPLICATE", owner.client().execute_command("CLUSTER MYID"))
        wait_for("its nodes", lambda: all(map(_is_well, servers)) and _has_replica(replica))
        yield Clustered(masters, owner, replica, slot)


def _info(server: RedisServer) -> dict[str, str]:
    said = server.client().execute_command("CLUSTER INFO")
    return said if isinstance(said, dict) else dict(line.split(":") for line in str(said).splitlines() if line)


def _nodes(server: RedisServer) -> int:
    return int(_info(server)["cluster_known_nodes"])


def _is_well(server: RedisServer) -> bool:
    return _info(server)["cluster_state"] == "ok"


def _has_replica(replica: RedisServer) -> bool:
    return replica.client().info("replication").get("master_link_status") == "up"
