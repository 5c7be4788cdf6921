"""The supervisor: owns the sockets, keeps two planes alive, puts configurations in force.

One loop over signals, dead children and deadlines; every reaction is short and none waits. What it
must never load: gunicorn, gevent, ssl, redis, pydantic. Whatever could fail in those happens in a
child.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

from lb.config import snapshot as snapshot_file
from lb.errors import ConfigError
from lb.model import Config, Snapshot
from lb.state.reload import record
from lb.supervisor import log, notify, outline
from lb.supervisor.addresses import control_binds, data_binds
from lb.supervisor.banner import ready_line
from lb.supervisor.changes import Changes, changes
from lb.supervisor.errand import Errands, Result
from lb.supervisor.gunicorns import child_environ, control_plane, data_plane
from lb.supervisor.handdown import VARIABLE, Handdown, become_next, plane_state, restore
from lb.supervisor.inherited import adopt_inherited
from lb.supervisor.leftovers import advice, left_over
from lb.supervisor.pidfile import PidFile
from lb.supervisor.plane import Event
from lb.supervisor.reaper import describe, reap
from lb.supervisor.sockets import BindError, Held
from lb.supervisor.spawn import python
from lb.supervisor.wakeup import Wakeup

OK, FAILED, MISTAKE = 0, 1, 2
"""Exit status: told to stop; the data plane could not be started; a mistake of the operator."""
BOOT_PATIENCE_S = 30.0
DRAIN_MARGIN_S = 5.0
CONTROL_DRAIN_S = 10.0
POLL_S = 0.05


class Supervisor:
    """``run`` is the process's life. ``file`` is the configuration, read by nobody but the publisher."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._held = Held()
        self._errands = Errands()
        self._data = data_plane(self._held, self._current)
        self._control = control_plane(self._held, self._current)
        self._planes = (self._data, self._control)
        self._snapshot_path = ""
        self._snapshot: Snapshot | None = None
        self._applied: Config | None = None
        """What the arbiters were started for; None: some are not, so everything counts as changed."""
        self._pid_file: PidFile | None = None
        self._wanted: set[int] = set()
        self._boot_deadline: float | None = None
        self._is_ready = self._is_stopping = self._is_settled = False
        self._exit_code = OK
        self._watchdog_s = notify.watchdog_interval_s()
        self._wakeup = Wakeup()

    def run(self) -> int:
        """Serve until told to stop. Returns the exit status."""
        handdown = Handdown.load(os.environ)
        if handdown:
            self._go_on(handdown)
        else:
            self._ask(self._prepare, "--outline")
        while not self._is_over:
            for number in self._wakeup.wait(self._patience_s()):
                self._on_signal(number)
            self._reap()
            self._tick(time.monotonic())
        return self._leave()

    # -- the loop ---------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return self._is_stopping and self._errands.pid is None and all(plane.is_empty for plane in self._planes)

    def _patience_s(self) -> float | None:
        """How long the loop may sleep."""
        now = time.monotonic()
        due = [plane.next_deadline() for plane in self._planes] + [self._errands.deadline, self._boot_deadline]
        waits = [max(0.0, at - now) for at in due if at is not None]
        if any(plane.wants_polling for plane in self._planes):
            waits.append(POLL_S)
        if self._watchdog_s:
            waits.append(self._watchdog_s)
        return min(waits, default=None)

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._stop(number)
        elif number in (signal.SIGHUP, signal.SIGUSR2):
            self._wanted.add(number)
        elif number == signal.SIGUSR1:  # reopen log files
            for pid in (plane.current.pid for plane in self._planes if plane.current):
                os.kill(pid, signal.SIGUSR1)

    def _reap(self) -> None:
        pids = [pid for plane in self._planes for pid in plane.pids()]
        if self._errands.pid is not None:
            pids.append(self._errands.pid)
        for pid, status in reap(pids):
            self._errands.on_exit(pid, status)
            for plane in self._planes:
                self._on_events(plane.name, plane.on_exit(pid, describe(status), time.monotonic()))

    def _tick(self, now: float) -> None:
        self._errands.tick(now)
        for plane in self._planes:
            self._on_events(plane.name, plane.tick(now))
        if self._boot_deadline is not None and now >= self._boot_deadline:
            self._fail(FAILED, [f"no worker serves after {BOOT_PATIENCE_S:g} s"])
        self._start_wanted()
        if self._watchdog_s:
            notify.notify("WATCHDOG=1")

    def _start_wanted(self) -> None:
        """Begin what signals asked for, as soon as nothing else is under way."""
        if not self._is_ready or self._is_stopping or self._errands.pid is not None:
            return
        if signal.SIGUSR2 in self._wanted and not self._is_handing_over:
            self._wanted.clear()  # an upgrade publishes as well
            self._publish(self._rehearse)
        elif signal.SIGHUP in self._wanted:
            self._wanted.discard(signal.SIGHUP)
            self._publish(self._apply)
        elif not self._is_settled and not self._is_handing_over:
            self._is_settled = True
            notify.notify("READY=1", f"STATUS=generation {self._in_force.generation}")

    def _on_events(self, plane: str, events: list[Event]) -> None:
        for event in events:
            if plane == "data" and event == Event.SERVING and self._boot_deadline is not None:
                self._ready()
            elif plane == "data" and event == Event.DIED and self._boot_deadline is not None:
                self._fail(FAILED, ["the data plane ended before any worker served; see its lines above"])
            elif event == Event.HANDOVER_FAILED:
                self._applied = None
            if event in (Event.HANDED_OVER, Event.HANDOVER_FAILED):
                self._release_unused()

    # -- start ------------------------------------------------------------------------------

    def _prepare(self, result: Result) -> None:
        """The file is right: take state directory and sockets. Only then is it put in force, because
        processes that a killed supervisor left behind would move to it."""
        if self._is_stopping or not self._is_good_start(result):
            return
        try:
            self._claim(outline.load(result.output))
        except (ConfigError, BindError, OSError) as mistake:
            self._refuse(mistake)
            return
        self._ask(self._boot)

    def _boot(self, result: Result) -> None:
        """First publication done: start both planes. The sockets are held, unless the file has changed
        since it was first read."""
        if self._is_stopping or not self._is_good_start(result):
            return
        try:
            self._take_snapshot(result.output.strip())
            config = self._in_force.config
            control, data = self._held.ensure(control_binds(config)), self._held.ensure(data_binds(config))
        except (ConfigError, BindError, OSError) as mistake:
            self._refuse(mistake)
            return
        now = time.monotonic()
        self._boot_deadline = now + BOOT_PATIENCE_S
        self._applied = config
        self._move_in(config)
        record(config.state.dir, [])
        self._control.begin(control, now)
        self._data.begin(data, now)

    def _is_good_start(self, result: Result) -> bool:
        if result.code:
            self._fail(MISTAKE if result.code == MISTAKE else FAILED, result.problems)
        return not result.code

    def _refuse(self, mistake: Exception) -> None:
        self._fail(MISTAKE, [f"{self._file}: {line}" for line in str(mistake).splitlines()])

    def _claim(self, config: Config) -> None:
        """The state directory and every socket, or an exception and nothing."""
        self._pid_file = PidFile.claim(config.state.dir)
        if self._pid_file is None:
            raise BindError(f"state.dir {config.state.dir} is in use by another lb run")
        adopt_inherited(self._held, data_binds(config) + control_binds(config), os.environ)
        try:
            self._held.ensure(data_binds(config) + control_binds(config))
        except BindError as error:
            raise BindError(f"{error}\n{advice(left_over(config.state.dir))}".rstrip()) from error

    def _ready(self) -> None:
        self._boot_deadline = None
        self._is_ready = True
        print(ready_line(self._in_force, self._held, os.getpid()), flush=True)

    def _fail(self, code: int, problems: list[str]) -> None:
        """A start that cannot be: say why, end what was begun."""
        self._exit_code = code
        for problem in problems:
            print(problem, file=sys.stderr, flush=True)
        self._stop(signal.SIGTERM)

    # -- configurations ---------------------------------------------------------------------

    @property
    def _in_force(self) -> Snapshot:
        assert self._snapshot is not None, "asked before the first publication"
        return self._snapshot

    def _current(self) -> tuple[str, Snapshot]:
        return self._snapshot_path, self._in_force

    def _ask(self, then: Callable[[Result], None], *options: str) -> None:
        """Validate the file in a child, and put it in force unless asked otherwise; go on with ``then``."""
        argv = python("-m", "lb.supervisor.publisher", *options, self._file)
        self._errands.start(argv, child_environ(os.environ), then)

    def _publish(self, then: Callable[[Result], None]) -> None:
        """Put the file in force during our life."""
        self._is_settled = False
        notify.reloading()
        self._ask(then)

    def _take_snapshot(self, path: str) -> None:
        """ConfigError if it cannot be read; then nothing has changed."""
        self._snapshot = snapshot_file.read(path)
        self._snapshot_path = path

    def _is_published(self, result: Result) -> bool:
        """Whether a publication during our life was good; if not it is logged and all stays as it is."""
        problems = result.problems if result.code else []
        if not problems:
            try:
                self._take_snapshot(result.output.strip())
            except ConfigError as error:
                problems = error.problems
        for problem in problems:
            log.error("configuration_refused", file=self._file, problem=problem)
        record(self._in_force.config.state.dir, problems)
        return not problems

    def _apply(self, result: Result) -> None:
        """A new generation is in force. Processes change only where it takes new ones."""
        if self._is_stopping or not self._is_published(result):
            return
        new = self._in_force
        due = changes(self._applied, new.config)
        log.info(
            "configuration_applied", generation=new.generation, restarts="; ".join(due.data + due.control) or "none"
        )
        if due == Changes():
            self._applied = new.config
        else:
            self._hand_over(due)

    def _hand_over(self, due: Changes) -> None:
        """Second processes on the sockets that the configuration wants, for each plane that needs them."""
        now, config = time.monotonic(), self._in_force.config
        self._applied = None
        try:
            data, control = self._held.ensure(data_binds(config)), self._held.ensure(control_binds(config))
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
    def _is_handing_over(self) -> bool:
        return any(plane.candidate for plane in self._planes)

    def _release_unused(self) -> None:
        self._held.keep_only(self._data.addresses() | self._control.addresses())

    # -- new code (USR2) --------------------------------------------------------------------

    def _rehearse(self, result: Result) -> None:
        """The new code could validate the configuration; can it also be a supervisor?"""
        if not self._is_stopping and self._is_published(result):
            environ = child_environ(os.environ) | {VARIABLE: self._handdown().dump()}
            self._errands.start(python("-m", "lb.supervisor", "--rehearse"), environ, self._become_next)

    def _become_next(self, result: Result) -> None:
        """Go on as the new code, in this very process. It does not return unless that is impossible."""
        if self._is_stopping:
            return
        problems = result.problems if result.code else [self._exec()]
        for problem in problems:
            log.error("upgrade_refused", problem=problem)

    def _exec(self) -> str:
        """Returns only if it failed: why."""
        missed = self._wakeup.hold()
        problem = become_next(self._file, self._handdown([*self._wanted, *missed]))
        self._wakeup.let_in()
        for number in missed:
            self._on_signal(number)
        return f"exec failed: {problem}"

    def _handdown(self, signals: Sequence[int] = ()) -> Handdown:
        assert self._pid_file is not None, "an upgrade before the start"
        planes = {plane.name: plane_state(plane) for plane in self._planes}
        return Handdown(self._snapshot_path, self._pid_file.fd, self._held.as_dict(), planes, list(signals))

    def _go_on(self, handdown: Handdown) -> None:
        """The new code's first steps: everything as it was, then new processes for both planes."""
        del os.environ[VARIABLE]
        self._take_snapshot(handdown.snapshot)
        self._pid_file = PidFile.adopt(self._in_force.config.state.dir, handdown.pid_fd)
        for address, (fd, unlink) in handdown.sockets.items():
            self._held.adopt(address, fd, unlink=unlink)
        for plane in self._planes:
            restore(plane, handdown.planes[plane.name], time.monotonic())
        self._is_ready = True
        log.info("upgraded", pid=os.getpid(), generation=self._in_force.generation)
        self._hand_over(Changes(("new code",), ("new code",)))
        for number in handdown.signals:
            self._on_signal(number)

    # -- end --------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        """Drain and end; asked again, end at once."""
        now, is_quick = time.monotonic(), self._is_stopping or number == signal.SIGQUIT
        if self._is_ready and not self._is_stopping:
            log.info("stopping", pid=os.getpid())
            notify.notify("STOPPING=1")
        self._is_stopping, self._boot_deadline = True, None
        self._errands.kill()
        self._held.keep_only(set())
        for plane in self._planes:
            plane.stop(signal.SIGQUIT if is_quick else signal.SIGTERM, now)

    def _leave(self) -> int:
        if self._pid_file:
            self._pid_file.remove()
        return self._exit_code
