"""Three machines that share one limit, in virtual time: the real part and the real script, and all that may go wrong between.

A call to the store takes its time, is lost on the way there or back, or arrives long after its sender gave up;
controllers stand still for seconds, in the middle of a renewal too, or are replaced; workers die. Store and
machines have clocks of their own.
"""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from greenlet import getcurrent, greenlet

from lb.controller.limits import Limits
from lb.controller.slice import MS
from lb.model import Backend, Config, Pool, Snapshot, State, StoreLoss
from lb.state.layout import (
    H_MACHINES,
    HEADER_CELLS,
    SH_FULL_NS,
    SH_SLICE,
    SH_SLICE_LOST,
    SH_SLICE_UNTIL_NS,
    SHARED_CELLS,
)
from lb.state.store.errors import StoreDown
from tests.support.slices import KEYS, SlicesStore

WORKERS = 2
TICK_MS = 15
LONGEST_REQUEST_MS = 400
"""Below the half second between the end of a slice and its next holder."""


class World:
    """``run`` lets ``now_ms`` pass; ``peak`` is the most that was ever in flight on all machines."""

    @staticmethod
    def machine(world: World, name: str, boot_ms: int) -> Machine:
        return Machine(world, name, boot_ms)

    def __init__(self, store: SlicesStore, folder: Path, random: Random, limit: int, rule: StoreLoss) -> None:
        self.store = store
        self.random = random
        self.limit = limit
        self.rule = rule
        self.folder = folder
        self.now_ms = 0
        self.peak = self.done = 0
        self.is_lossy = False
        self.is_reachable = True
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._main = getcurrent()
        self.machines = [self.machine(self, f"m{i}", (i + 1) * 1_000_000) for i in range(3)]

    @property
    def key(self) -> str:
        """Where the store has the limit."""
        return KEYS.limit("web/b@127.0.0.1:1")

    @property
    def inflight(self) -> int:
        return sum(sum(machine.inflight) for machine in self.machines)

    def after(self, delay_ms: int, act: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._numbers), act))

    def run(self, time_ms: int) -> None:
        end_ms = self.now_ms + time_ms
        while self._events and self._events[0][0] <= end_ms:
            at_ms, _, act = heapq.heappop(self._events)
            self.store.now_ms += at_ms - self.now_ms
            self.now_ms = at_ms
            act()
        self.store.now_ms += end_ms - self.now_ms
        self.now_ms = end_ms

    def start(self, act: Callable[[], object]) -> None:
        """In a greenlet that may ``sleep``."""
        greenlet(act, self._main).switch()

    def sleep(self, time_ms: int) -> None:
        self.after(time_ms, getcurrent().switch)
        self._main.switch()


class Machine:
    """Its cells, its workers, and the link of its controller; the segment of its part in one."""

    def __init__(self, world: World, name: str, boot_ms: int) -> None:
        self.world = world
        self.name = name
        self.keys = KEYS
        self.boot_ms = boot_ms
        self.demand = 1.0
        """The share of the moments in which a worker wants a place."""
        self.cells = memoryview(array("q", bytes(8 * SHARED_CELLS)))
        self.inflight = memoryview(array("q", bytes(8 * WORKERS)))
        self.header = memoryview(array("q", bytes(8 * HEADER_CELLS)))
        self.header[H_MACHINES] = 3
        self.paused_until_ms = 0
        self.is_asking = False
        self._lives = [0] * WORKERS
        self.snapshot = self._snapshot(world.limit)
        self.part = self._new_part()
        world.after(world.random.randrange(TICK_MS), self._tick)
        for worker in range(WORKERS):
            world.after(world.random.randrange(TICK_MS), lambda worker=worker: self._work(worker))  # type: ignore[misc]

    def _snapshot(self, limit: int) -> Snapshot:
        pool = Pool("web", (Backend("b", host="127.0.0.1", port=1, max_inflight=limit),))
        (self.world.folder / self.name).mkdir(exist_ok=True)
        state = State(str(self.world.folder / self.name), redis="x", on_store_loss=self.world.rule)
        return Snapshot(1, Config("", (), (pool,), (), state), "", {"backend:web/b": 0})

    def _new_part(self) -> Limits:
        part = Limits(self, self.clock)  # type: ignore[arg-type]
        part.apply(self.snapshot, self)  # type: ignore[arg-type]
        return part

    def clock(self) -> int:
        return (self.boot_ms + self.world.now_ms) * MS

    # --- the segment

    def shared(self, column: int) -> memoryview:
        return self.cells

    def inflight_view(self, column: int) -> memoryview:
        return self.inflight

    # --- the link

    @property
    def is_up(self) -> bool:
        return self.world.is_reachable

    def call(self, step: Callable[[Any], Any]) -> Any:
        world, random = self.world, self.world.random
        fate = random.choices(("fine", "lost", "no answer", "late"), (70, 10, 10, 10))[0] if world.is_lossy else "fine"
        if not world.is_reachable:
            fate = "lost"
        world.sleep(random.randrange(1, 5) if fate == "fine" else random.randrange(1, 400))
        if fate == "late":
            world.after(random.randrange(1, 4000), lambda: world.store.ask(step))
        answer = world.store.ask(step) if fate in ("fine", "no answer") else None
        world.sleep(random.randrange(1, 5))
        if self.paused_until_ms > world.now_ms:
            world.sleep(self.paused_until_ms - world.now_ms)
        if fate != "fine":
            raise StoreDown(fate)
        return answer

    # --- the controller

    def _tick(self) -> None:
        self.world.after(TICK_MS, self._tick)
        if not self.is_asking and self.world.now_ms >= self.paused_until_ms:
            self.world.start(self._round)

    def _round(self) -> None:
        part = self.part
        self.is_asking = True
        try:
            part.round()
        except StoreDown:
            pass
        finally:
            if part is self.part:
                self.is_asking = False

    def pause(self, time_ms: int) -> None:
        """SIGSTOP."""
        self.paused_until_ms = self.world.now_ms + time_ms

    def replace_controller(self) -> None:
        """kill -9: what it was doing is never finished."""
        self.part._turn.give_up()
        self.part, self.is_asking = self._new_part(), False

    # --- the workers

    def most(self) -> int:
        """As ``LivePool._limit`` has it."""
        until_ns, now_ns = self.cells[SH_SLICE_UNTIL_NS], self.clock()
        if until_ns > now_ns:
            return self.cells[SH_SLICE]
        return 0 if self.world.rule == "closed" or not until_ns else self.cells[SH_SLICE_LOST]

    def _work(self, worker: int) -> None:
        world, random = self.world, self.world.random
        world.after(random.randrange(2, 20), lambda: self._work(worker))
        if random.random() >= self.demand:
            return
        if sum(self.inflight) >= self.most():
            self.cells[SH_FULL_NS] = self.clock()
            return
        self.inflight[worker] += 1
        world.peak = max(world.peak, world.inflight)
        life = self._lives[worker]
        world.after(random.randrange(1, LONGEST_REQUEST_MS), lambda: self._release(worker, life))

    def _release(self, worker: int, life: int) -> None:
        if self._lives[worker] == life:
            self.inflight[worker] -= 1
            self.world.done += 1

    def kill_worker(self, worker: int) -> None:
        """What it had in flight is gone at the backend, and a little later in its slot."""
        self._lives[worker] += 1
        self.inflight[worker] = 0
