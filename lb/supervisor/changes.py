"""What of a new configuration takes new processes, and in which plane. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from lb.config.diff import restart_reasons
from lb.model import Config, Listener, State


@dataclass(frozen=True, slots=True)
class Changes:
    """``data``: reasons to start a second arbiter, as people read them. Everything that is not in here
    reaches workers and controller by the snapshot alone."""

    data: tuple[str, ...] = ()
    control: tuple[str, ...] = ()


def changes(old: Config | None, new: Config) -> Changes:
    """``old`` None: not all processes are on one configuration, so both planes are due."""
    if old is None:
        reason = ("the last handover failed",)
        return Changes(reason, reason)
    control = ("admin listener",) if _of_controller(old) != _of_controller(new) else ()
    return Changes(tuple(restart_reasons(old, new)), control)


def _of_controller(config: Config) -> tuple[State, tuple[Listener, ...]]:
    return config.state, tuple(listener for listener in config.listeners if listener.kind == "admin")
