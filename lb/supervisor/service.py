"""What a supervisor runs: the configuration in force, the sockets it wants, and the two planes on them.

Knows how a configuration becomes processes, and one configuration the next; not who asked for it, nor
how it was validated. Nothing here waits.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping

from lb.config import snapshot as snapshot_file
from lb.model import Config, Snapshot
from lb.supervisor import log
from lb.supervisor.addresses import control_binds, data_binds
from lb.supervisor.changes import Changes, changes
from lb.supervisor.gunicorns import control_plane, data_plane
from lb.supervisor.handdown import Handdown, plane_state, restore
from lb.supervisor.inherited import adopt_inherited
from lb.supervisor.leftovers import advice, left_over
from lb.supervisor.pidfile import PidFile
from lb.supervisor.plane import Event
from lb.supervisor.reaper import describe
from lb.supervisor.sockets import BindError, Held

DRAIN_MARGIN_S = 5.0
CONTROL_DRAIN_S = 10.0
NEW_CODE = Changes(("new code",), ("new code",))


class Service:
    """Begins empty. ``events`` of its methods are those of the data plane: the control plane's death or
    delay is nobody's outage."""

    def __init__(self) -> None:
        self.held = Held()
        self._data = data_plane(self.held, self._current)
        self._control = control_plane(self.held, self._current)
        self._planes = (self._data, self._control)
        self._path = ""
        self._snapshot: Snapshot | None = None
        self._applied: Config | None = None
        """What the arbiters were started for; None: some are not, so everything counts as changed."""
        self._pid_file: PidFile | None = None

    # -- the configuration in force ---------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        assert self._snapshot is not None, "asked before the first publication"
        return self._snapshot

    def _current(self) -> tuple[str, Snapshot]:
        return self._path, self.snapshot

    def take_snapshot(self, path: str) -> None:
        """What arbiters are started on from now on. ConfigError if it cannot be read; then nothing has changed."""
        self._snapshot = snapshot_file.read(path)
        self._path = path

    # -- from nothing to two planes ---------------------------------------------------------

    def claim(self, config: Config, environ: Mapping[str, str]) -> None:
        """The state directory and every socket, or BindError (or OSError) and nothing."""
        self._pid_file = PidFile.claim(config.state.dir)
        if self._pid_file is None:
            raise BindError(f"state.dir {config.state.dir} is in use by another lb run")
        adopt_inherited(self.held, data_binds(config) + control_binds(config), environ)
        try:
            self.held.ensure(data_binds(config) + control_binds(config))
        except BindError as error:
            raise BindError(f"{error}\n{advice(left_over(config.state.dir))}".rstrip()) from error

    def begin(self, now: float) -> None:
        """Start both planes, on the sockets that were claimed for them."""
        config = self.snapshot.config
        control, data = self.held.ensure(control_binds(config)), self.held.ensure(data_binds(config))
        self._applied = config
        self._move_in(config)
        self._control.begin(control, now)
        self._data.begin(data, now)

    # -- from one configuration to the next -------------------------------------------------

    def apply(self, now: float) -> None:
        """A new generation is in force. Processes change only where it takes new ones."""
        new = self.snapshot
        due = changes(self._applied, new.config)
        log.info(
            "configuration_applied", generation=new.generation, restarts="; ".join(due.data + due.control) or "none"
        )
        if due == Changes():
            self._applied = new.config
        else:
            self._hand_over(due, now)

    def _hand_over(self, due: Changes, now: float) -> None:
        """Second processes on the sockets that the configuration wants, for each plane that needs them."""
        config = self.snapshot.config
        self._applied = None
        try:
            data, control = self.held.ensure(data_binds(config)), self.held.ensure(control_binds(config))
        except BindError as error:
            log.error("handover_failed", reason=error)
            self._release_unused()
            return
        self._applied = config  # until the handover should fail
        self._move_in(config)
        if due.data:
            self._data.hand_over(data, config.workers, now)
        if due.control:
            self._control.hand_over(control, 1, now)

    def _move_in(self, config: Config) -> None:
        """The drain times of this configuration, and the pid file into its state directory."""
        self._data.drain_s = config.graceful_timeout_s + DRAIN_MARGIN_S
        self._control.drain_s = CONTROL_DRAIN_S
        if self._pid_file and not self._pid_file.is_in(config.state.dir):
            before, self._pid_file = self._pid_file, PidFile.claim(config.state.dir) or self._pid_file
            if before is not self._pid_file:
                before.remove()

    @property
    def is_handing_over(self) -> bool:
        return any(plane.candidate for plane in self._planes)

    def _release_unused(self) -> None:
        self.held.keep_only(self._data.addresses() | self._control.addresses())

    # -- what happens to the processes ------------------------------------------------------

    def pids(self) -> list[int]:
        return [pid for plane in self._planes for pid in plane.pids()]

    @property
    def is_empty(self) -> bool:
        return not self.pids()

    def on_exit(self, pid: int, status: int, now: float) -> list[Event]:
        """A child was reaped; nothing happens if it is none of ours."""
        how = describe(status)
        return self._settled(self._data.on_exit(pid, how, now), self._control.on_exit(pid, how, now))

    def tick(self, now: float) -> list[Event]:
        """Do what is due at ``now``."""
        return self._settled(self._data.tick(now), self._control.tick(now))

    def _settled(self, data: list[Event], control: list[Event]) -> list[Event]:
        """Sockets and what counts as applied, after events of both planes; the data plane's for the caller."""
        events = {*data, *control}
        if Event.HANDOVER_FAILED in events:
            self._applied = None
        if events & {Event.HANDED_OVER, Event.HANDOVER_FAILED}:
            self._release_unused()
        return data

    def deadlines(self) -> list[float | None]:
        return [plane.next_deadline() for plane in self._planes]

    @property
    def wants_polling(self) -> bool:
        return any(plane.wants_polling for plane in self._planes)

    def reopen_logs(self) -> None:
        """With the next ``tick``: of those that serve; others do it as soon as they serve."""
        for plane in self._planes:
            plane.reopen_logs()

    # -- end, and life after an exec --------------------------------------------------------

    def stop(self, number: signal.Signals, now: float) -> None:
        """End both planes: SIGTERM drains, SIGQUIT does not. The sockets are closed at once."""
        self.held.keep_only(set())
        for plane in self._planes:
            plane.stop(number, now)

    def leave(self) -> None:
        """The last thing: the state directory is free for another one."""
        if self._pid_file:
            self._pid_file.remove()

    def handdown(self, signals: Iterable[int] = (), looks: Iterable[int] = ()) -> Handdown:
        """All of it, for the next image of this process."""
        assert self._pid_file is not None, "an upgrade before the start"
        planes = {plane.name: plane_state(plane) for plane in self._planes}
        return Handdown(self._path, self._pid_file.fd, self.held.as_dict(), planes, list(signals), list(looks))

    def take_over(self, handdown: Handdown, now: float) -> None:
        """Everything as the image before left it, then new processes for both planes: the new code's."""
        self._path = handdown.snapshot
        self._snapshot, problem = snapshot_file.read_or_copy(self._path)
        if problem:
            log.error("snapshot_damaged", problem=problem)
        self._pid_file = PidFile.adopt(self.snapshot.config.state.dir, handdown.pid_fd)
        for address, (fd, unlink) in handdown.sockets.items():
            self.held.adopt(address, fd, unlink=unlink)
        for plane in self._planes:
            restore(plane, handdown.planes[plane.name], now)
        log.info("upgraded", pid=os.getpid(), generation=self.snapshot.generation)
        self._hand_over(NEW_CODE, now)
