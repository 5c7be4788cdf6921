"""Machines that share a Redis, as far as their controllers go: a segment and a snapshot each, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gevent

from lb.controller.sync import Part, Sync
from lb.model import Backend, Config, Pool, Snapshot, State
from lb.state.publish import publish
from lb.state.segment import Segment
from lb.state.store.link import Link
from lb.structs import replace

PATIENCE_S = 8.0


@dataclass
class Machine:
    """``sync`` runs ``parts`` on ``snapshot`` and ``segment``."""

    sync: Sync
    parts: Sequence[Part]
    snapshot: Snapshot
    segment: Segment

    def column(self, name: str) -> int:
        return self.snapshot.columns[name]

    def apply(self) -> None:
        self.sync.apply(self.snapshot, self.segment)

    def publish(self, config: Config) -> None:
        self.snapshot = publish(config)
        self.segment.refresh()
        self.apply()

    def close(self) -> None:
        self.sync.stop()
        self.segment.close()
        Path(self.snapshot.segment).unlink(missing_ok=True)


def machine(
    folder: Path,
    name: str,
    url: str,
    make: Callable[[Link], Sequence[Part]],
    pools: Sequence[Pool] = (),
    *,
    on_store_loss: str = "open",
) -> Machine:
    """One that runs; ``folder`` is its state directory. Its parts are there once it has been applied."""
    state = State(str(folder / name), redis=url, prefix="t", machine=name)
    config = Config("test", (), tuple(pools) or (pool_of(2),), (), replace(state, on_store_loss=on_store_loss))  # type: ignore[arg-type]
    snapshot = publish(config)
    made: list[Part] = []

    def parts(link: Link) -> Sequence[Part]:
        made[:] = make(link)
        return made

    one = Machine(Sync(parts), made, snapshot, Segment.for_snapshot(snapshot))
    one.apply()
    return one


def pool_of(members: int, id: str = "web", policy: str = "round_robin", max_inflight: int | None = None) -> Pool:
    backends = [Backend(f"b{i}", host="127.0.0.1", port=i + 1, max_inflight=max_inflight) for i in range(members)]
    return Pool(id, tuple(backends), policy=policy)


def until(is_so: Callable[[], bool], patience_s: float = PATIENCE_S) -> float:
    """Seconds that it took; greenlets run meanwhile."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < patience_s, "in vain"
        gevent.sleep(0.005)
    return time.monotonic() - started
