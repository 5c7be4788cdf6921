"""Runs a function that a user wrote within bounds: it may neither take long nor let others run.

The time is processor time, looked at by an interval timer (``SIGALRM``) that runs only while the function does, so nobody
else ever sees the signal; one that blocks instead of computing is given ten times as long on the clock. A machine that is
busy elsewhere does not count against it. The alarm raises ``OverBudget`` in the user's code, never in
code of ours that it called. What no alarm can end is a single call into C that does not come back: it is told
when it does.

A switch to another greenlet is refused where it begins, by gevent's own hook: the hub asks the ``switch_out`` of whoever
wants to wait. A child that it forks ends at once: it would serve this process's clients a second time. Knows nothing of
policies.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, TypeVar

from greenlet import getcurrent

T = TypeVar("T")
ON_THE_CLOCK: Final = 10
"""Budgets of time that may pass while the processor does something else."""
AGAIN_S: Final = 50e-6
SOON_STEP_S: Final = 0.5e-6
SOON_STEPS: Final = 32
"""Who has caught the alarm hears the next one within 0.5 to 16 us, each time another part of it, and else after 50: so a loop
that catches everything is soon met where it cannot catch, in its handler (measured: a few ms for three such loops)."""


class OverBudget(BaseException):
    """It took too long. No ``Exception``: what a function catches for itself must not hide it."""


class SwitchRefused(BaseException):
    """It wanted to wait (sleep, do I/O, take a lock), or forked."""


class _State:
    """Of the one function that runs, if any. One thread, and no switches: there is never a second."""

    def __init__(self) -> None:
        self.budget_s = 0.0
        self.current: Any = None
        """The greenlet that it runs in."""
        self.told: tuple[type[BaseException], str] | None = None
        """What was raised in it, which it may have caught."""
        self.ticks = 0
        self.used_s = 0.0
        """Processor time of this thread at the first tick."""
        self.before: Any = None
        """The handler that was there before ours."""


_state = _State()


class Bounds:
    """Made in the thread that will use it. Elsewhere than in the main thread there are no signals, and so no budget."""

    def __init__(self) -> None:
        self.has_budget = _install()

    def call(self, budget_s: float, function: Callable[..., T], *args: Any) -> T:
        """What ``function`` returns. OverBudget, SwitchRefused, or whatever it raises."""
        current = getcurrent()
        may_hook = not hasattr(type(current), "switch_out")  # the hub's own has one, and refuses by itself
        _state.told, _state.current = None, current
        if may_hook:
            current.switch_out = _refuse  # type: ignore[attr-defined]
        try:
            if self.has_budget:
                _state.ticks = 0
                _state.budget_s = budget_s
                signal.setitimer(signal.ITIMER_REAL, budget_s, budget_s)
            result = function(*args)
        finally:
            if self.has_budget:
                _state.budget_s = 0.0
                signal.setitimer(signal.ITIMER_REAL, 0.0)
            _state.current = None
            if may_hook:
                del current.switch_out  # type: ignore[attr-defined]
        if _state.told is not None:
            kind, text = _state.told
            raise kind(text)
        return result

    def text_of(self, budget_s: float, value: Any, show: Callable[[Any], str] = repr) -> str:
        """What ``show`` makes of it, which is a user's code too; of what cannot be shown the type's name."""
        try:
            return self.call(budget_s, show, value)
        except BaseException:  # noqa: BLE001 - theirs
            return f"<{type(value).__name__}>"


_OUR_FRAME: Final = Bounds.call.__code__


def _install() -> bool:
    try:
        before = signal.signal(signal.SIGALRM, _on_alarm)
    except ValueError:  # not the main thread
        return False
    if before is not _on_alarm:
        _state.before = before
    return True


def _refuse() -> None:
    _state.told = SwitchRefused, "it wanted to wait, and caught the refusal"
    raise SwitchRefused("it wanted to wait")


def _end_child() -> None:
    if _state.current is not None and _state.current is getcurrent():
        os._exit(1)


def _note_fork() -> None:
    if _state.current is not None and _state.current is getcurrent():
        _state.told = SwitchRefused, "it forked"


os.register_at_fork(after_in_child=_end_child, after_in_parent=_note_fork)


def _on_alarm(number: int, frame: FrameType | None) -> None:
    budget_s = _state.budget_s
    if not budget_s:
        if callable(_state.before):
            _state.before(number, frame)
        return
    now_s = time.thread_time()
    _state.ticks += 1
    if _state.ticks == 1:
        _state.used_s = now_s
    is_over = now_s - _state.used_s >= 0.9 * budget_s or _state.ticks >= ON_THE_CLOCK
    if is_over and _is_theirs(frame):
        used_ms = 1000 * (now_s - _state.used_s)
        text = f"took more than {1000 * budget_s:g} ms ({used_ms:.1f} ms of work since the first look)"
        has_caught, _state.told = _state.told is not None, (OverBudget, text)
        if has_caught:
            signal.setitimer(signal.ITIMER_REAL, (_state.ticks % SOON_STEPS + 1) * SOON_STEP_S, AGAIN_S)
        raise OverBudget(text)


def _is_theirs(frame: FrameType | None) -> bool:
    """Whether no code of ours is at work on behalf of the function: that must not be cut off in its middle."""
    is_ours = False
    innermost = frame
    while frame is not None and frame.f_code is not _OUR_FRAME:
        if str(frame.f_globals.get("__name__", "")).startswith("lb."):
            is_ours = True
        elif is_ours:
            return False
        frame = frame.f_back
    return frame is not None and frame is not innermost
