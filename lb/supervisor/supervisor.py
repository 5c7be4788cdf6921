"""The supervisor's life: one loop over signals, dead children and deadlines.

Every reaction is short and none waits. What must never be loaded here: gunicorn, gevent, ssl, redis,
pydantic. Whatever could fail in those happens in a child: a file is validated and put in force by a
publisher, new code is rehearsed before we become it. What runs is the ``Service``'s.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable

from lb.errors import ConfigError
from lb.launch import program
from lb.state.reload import record
from lb.supervisor import log, notify, outline
from lb.supervisor.banner import ready_line
from lb.supervisor.boot import START_PATIENCE_S, Boot, Phase
from lb.supervisor.errand import Errands, Result
from lb.supervisor.gunicorns import child_environ
from lb.supervisor.handdown import VARIABLE, Handdown, become_next
from lb.supervisor.plane import Event
from lb.supervisor.probes import is_probed, verdicts_of
from lb.supervisor.reaper import reap
from lb.supervisor.service import Service
from lb.supervisor.sockets import BindError
from lb.supervisor.wakeup import Wakeup
from lb.supervisor.watched import WatchedFile

OK, FAILED, MISTAKE = 0, 1, 2
"""Exit status: told to stop; the data plane could not be started; a mistake of the operator."""
POLL_S = 0.05


class Supervisor:
    """``run`` is the process's life. ``file`` is the configuration, read by nobody but the publisher."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._watched = WatchedFile(file)
        self._service = Service()
        self._errands = Errands()
        self._boot = Boot()
        self._wanted: set[int] = set()
        self._is_stopping = self._is_settled = False
        self._exit_code = OK
        self._watchdog_s = notify.watchdog_interval_s()
        self._wakeup = Wakeup()

    def run(self) -> int:
        """Serve until told to stop. Returns the exit status."""
        handdown = Handdown.load(os.environ)
        if handdown:
            self._go_on(handdown)
        else:
            self._ask(self._begin, "--ask", halfway=self._prepare)
        while not self._is_over:
            for number in self._wakeup.wait(self._patience_s(), self._errands.watched):
                self._on_signal(number)
            self._reap()
            self._tick(time.monotonic())
        self._service.leave()
        return self._exit_code

    # -- the loop ---------------------------------------------------------------------------

    @property
    def _is_over(self) -> bool:
        return self._is_stopping and self._errands.pid is None and self._service.is_empty

    def _patience_s(self) -> float | None:
        """How long the loop may sleep."""
        now = time.monotonic()
        due = [*self._service.deadlines(), self._errands.deadline, self._boot.deadline]
        waits = [max(0.0, at - now) for at in due if at is not None]
        if self._service.wants_polling or self._boot.phase == Phase.PROBING:
            waits.append(POLL_S)
        if self._boot.phase == Phase.READY:
            waits.append(max(0.0, self._watched.due - now))
        if self._watchdog_s:
            waits.append(self._watchdog_s)
        return min(waits, default=None)

    def _on_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._stop(number)
        elif number in (signal.SIGHUP, signal.SIGUSR2):
            self._wanted.add(number)
        elif number == signal.SIGUSR1:
            self._service.reopen_logs()

    def _reap(self) -> None:
        errand = [] if self._errands.pid is None else [self._errands.pid]
        for pid, status in reap(self._service.pids() + errand):
            self._errands.on_exit(pid, status)
            self._on_events(self._service.on_exit(pid, status, time.monotonic()))

    def _tick(self, now: float) -> None:
        self._errands.tick(now)
        self._errands.listen()
        self._on_events(self._service.tick(now))
        self._go_on_booting(now)
        if self._boot.phase == Phase.READY and self._watched.has_changed(now):
            log.info("file_changed", file=self._file)
            self._wanted.add(signal.SIGHUP)
        self._start_wanted()
        if self._watchdog_s:
            notify.notify("WATCHDOG=1")

    def _on_events(self, events: list[Event]) -> None:
        """Of the data plane; they matter while we start."""
        if Event.SERVING in events:
            self._boot.serving(time.monotonic())
        if Event.DIED in events and self._boot.phase == Phase.STARTING:
            self._fail(FAILED, ["the data plane ended before any worker served; see its lines above"])

    def _start_wanted(self) -> None:
        """Begin what signals asked for, as soon as nothing else is under way."""
        if self._boot.phase != Phase.READY or self._is_stopping or self._errands.pid is not None:
            return
        if signal.SIGUSR2 in self._wanted and not self._service.is_handing_over:
            self._wanted.clear()  # an upgrade publishes as well
            self._publish(self._rehearse)
        elif signal.SIGHUP in self._wanted:
            self._wanted.discard(signal.SIGHUP)
            self._publish(self._apply)
        elif not self._is_settled and not self._service.is_handing_over:
            self._is_settled = True
            notify.notify("READY=1", f"STATUS=generation {self._service.snapshot.generation}")

    # -- start ------------------------------------------------------------------------------

    def _prepare(self, asked: str) -> None:
        """The file is right: take state directory and sockets. Only then is it put in force, because
        processes that a killed supervisor left behind would move to it. The publisher holds it meanwhile:
        what is bound is what is published, and the file is read once."""
        if self._is_stopping:
            return
        try:
            self._service.claim(outline.load(asked), os.environ)
        except (ConfigError, BindError, OSError) as mistake:
            self._refuse(mistake)  # which ends the publisher
        else:
            self._errands.go_on()

    def _begin(self, result: Result) -> None:
        """First publication done: start both planes."""
        if self._is_good_start(result):
            now = time.monotonic()
            try:
                self._take_snapshot(result)
                self._service.begin(now)
            except (ConfigError, BindError, OSError) as mistake:
                self._refuse(mistake)
            else:
                self._boot.started(now)
                record(self._service.snapshot.config.state.dir, [])

    def _go_on_booting(self, now: float) -> None:
        if self._boot.phase == Phase.STARTING and self._boot.is_overdue(now):
            self._fail(FAILED, [f"no worker serves after {START_PATIENCE_S:g} s"])
        elif self._boot.phase == Phase.PROBING and (self._boot.is_overdue(now) or is_probed(self._service.snapshot)):
            self._boot.ready()
            snapshot = self._service.snapshot
            line = ready_line(snapshot, self._service.held, verdicts_of(snapshot), os.getpid())
            with contextlib.suppress(OSError):  # nobody may be reading any more; we serve all the same
                os.write(1, f"{line}\n".encode())

    def _is_good_start(self, result: Result) -> bool:
        if result.code and not self._is_stopping:
            self._fail(MISTAKE if result.code == MISTAKE else FAILED, result.problems)
        return not result.code and not self._is_stopping

    def _refuse(self, mistake: Exception) -> None:
        self._fail(MISTAKE, [f"{self._file}: {line}" for line in str(mistake).splitlines()])

    def _fail(self, code: int, problems: list[str]) -> None:
        """A start that cannot be: say why, end what was begun."""
        self._exit_code = code
        for problem in problems:
            print(problem, file=sys.stderr, flush=True)
        self._stop(signal.SIGTERM)

    # -- configurations ---------------------------------------------------------------------

    def _ask(self, then: Callable[[Result], None], *options: str, halfway: Callable[[str], None] | None = None) -> None:
        """Validate the file in a child and put it in force; go on with ``then``."""
        self._watched.note()
        argv = program("lb.supervisor.publisher", *options, self._file)
        self._errands.start(argv, child_environ(os.environ), then, halfway)

    def _publish(self, then: Callable[[Result], None]) -> None:
        """Put the file in force during our life."""
        self._is_settled = False
        notify.reloading()
        self._ask(then)

    def _is_published(self, result: Result) -> bool:
        """Whether a publication during our life was good; if not it is logged and all stays as it is."""
        if result.code < 0:  # ended by a signal: it says nothing about the file
            self._watched.forget()
        problems = result.problems if result.code else []
        if not problems:
            try:
                self._take_snapshot(result)
            except ConfigError as error:
                problems = error.problems
        for problem in problems:
            log.error("configuration_refused", file=self._file, problem=problem)
        record(self._service.snapshot.config.state.dir, problems)
        return not problems

    def _take_snapshot(self, result: Result) -> None:
        self._service.take_snapshot(result.output.strip())
        self._watch_policies()

    def _watch_policies(self) -> None:
        """A user's own policies are a part of the configuration, in files of their own."""
        pools = self._service.snapshot.config.pools
        self._watched.also(pool.custom.file for pool in pools if pool.custom is not None)

    def _apply(self, result: Result) -> None:
        if not self._is_stopping and self._is_published(result):
            self._service.apply(time.monotonic())

    # -- new code (USR2) --------------------------------------------------------------------

    def _rehearse(self, result: Result) -> None:
        """The new code could validate the configuration; can it also be a supervisor?"""
        if not self._is_stopping and self._is_published(result):
            environ = child_environ(os.environ) | {VARIABLE: self._service.handdown().dump()}
            self._errands.start(program("lb.supervisor", "--rehearse"), environ, self._become_next)

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
        problem = become_next(self._file, self._service.handdown([*self._wanted, *missed], self._watched.known))
        self._wakeup.let_in()
        for number in missed:
            self._on_signal(number)
        return f"exec failed: {problem}"

    def _go_on(self, handdown: Handdown) -> None:
        """The new code's first steps."""
        del os.environ[VARIABLE]
        self._watched.known = tuple(handdown.looks)
        self._service.take_over(handdown, time.monotonic())
        self._watch_policies()
        self._boot.ready()
        for number in handdown.signals:
            self._on_signal(number)

    # -- end --------------------------------------------------------------------------------

    def _stop(self, number: int) -> None:
        """Drain and end; asked again, end at once."""
        is_quick = self._is_stopping or number == signal.SIGQUIT
        if self._boot.phase == Phase.READY and not self._is_stopping:
            log.info("stopping", pid=os.getpid())
            notify.notify("STOPPING=1")
        self._is_stopping = True
        self._boot.end()
        self._errands.kill()
        self._service.stop(signal.SIGQUIT if is_quick else signal.SIGTERM, time.monotonic())
