"""``custom``: a policy that a user wrote (``policy: {class: module:Class}``), and a built-in one behind it.

Whatever theirs does, a request is picked for: it runs within bounds (``lb.config.bounds``), and where it raises, takes too long,
wants to wait or names somebody who may not be picked, the fallback picks. After ``FAILURES`` in a row it is not asked again
before the next generation. In a pool without a class this is the fallback. O(what theirs is).
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from lb.config.bounds import Bounds
from lb.config.user_class import class_of, described, options_of
from lb.model import Backend, CustomPolicy, Pool
from lb.policies.base import PickContext, Picker, Policy

FAILURES: Final = 5
_log = logging.getLogger("lb.policies")

Report = Callable[[bool], None]
"""Told of each pick that the fallback made; True: because theirs failed just now."""


class Seen:
    """What of a context theirs may look at. It can change nothing: the context of a pick is a worker's live pool."""

    __slots__ = ("ctx", "latency", "load", "random", "recall", "remember", "score", "ticket")

    def __init__(self, ctx: PickContext) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, ctx if name == "ctx" else getattr(ctx, name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"`{name}` of the context of a pick cannot be set")

    @property
    def key(self) -> bytes:
        return self.ctx.key  # type: ignore[attr-defined,no-any-return]

    def forget(self) -> None:
        """Theirs may have kept it, and would keep the context."""
        for name in self.__slots__:
            object.__setattr__(self, name, None)


class Custom:
    """``fallback``: made of the same pool."""

    def __init__(self, pool: Pool, fallback: Policy) -> None:
        self._pool = pool
        self._fallback = fallback
        self._custom = pool.custom or CustomPolicy("")
        self._bounds = Bounds()
        self._failures = self._in_a_row = 0
        self._policy: Any = None
        self._seen: Any = None
        self._is_retired = False
        self.is_given_up = pool.custom is None
        self.report: Report = lambda is_failure: None
        if pool.custom is not None:
            self._make(pool.custom)

    def __repr__(self) -> str:
        return f"<Custom {self._custom.spec} of {self._pool.id}: {'given up' if self.is_given_up else 'in use'}>"

    def _make(self, custom: CustomPolicy) -> None:
        """It was made once already, where the configuration was checked; here something it needs may be missing."""
        try:
            self._policy = class_of(custom)(**options_of(custom))
        except BaseException as error:  # noqa: BLE001 - theirs
            self._note(error)
            self._give_up()

    def retire(self) -> None:
        """The context of its picks ends: it is known here no longer, since it knows us."""
        self._is_retired = True
        if self._seen is not None:
            self._seen.forget()
            self._seen = None

    def build(self, members: Sequence[Backend], eligible: Sequence[int]) -> Picker:
        fallback = self._fallback.build(members, eligible)
        if self.is_given_up:
            return self._instead(fallback, is_failure=False)
        try:
            pick = self._bounds.call(self._custom.build_budget_s, self._policy.build, tuple(members), tuple(eligible))
        except BaseException as error:  # noqa: BLE001 - theirs
            self._note(error)
            return self._instead(fallback, is_failure=True)
        return self._guarded(pick, frozenset(eligible), fallback)

    def _instead(self, fallback: Picker, *, is_failure: bool) -> Picker:
        def pick(ctx: PickContext) -> int:
            self.report(is_failure)
            return fallback(ctx)

        return pick

    def _guarded(self, theirs: Any, eligible: frozenset[int], fallback: Picker) -> Picker:
        call, budget_s = self._bounds.call, self._custom.pick_budget_s

        def pick(ctx: PickContext) -> int:
            if self.is_given_up:
                self.report(False)
                return fallback(ctx)
            seen = self._seen
            if seen is None or seen.ctx is not ctx:
                seen = Seen(ctx)
                if not self._is_retired:
                    self._seen = seen
            try:
                i = call(budget_s, theirs, seen)
                if type(i) is int and i in eligible:
                    self._in_a_row = 0
                    return i
                shown = self._bounds.text_of(budget_s, i)
                raise ValueError(f"it returned {shown:.60}, which may not be picked")
            except BaseException as error:  # noqa: BLE001 - theirs
                self._note(error)
            self.report(True)
            return fallback(ctx)

        return pick

    def _note(self, error: BaseException) -> None:
        """One line for the first failure of a generation, and one when it is given up."""
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise error  # of a person at the keyboard, not theirs
        self._failures += 1
        self._in_a_row += 1
        if self._failures == 1:
            said = self._bounds.text_of(
                self._custom.build_budget_s, error, lambda error: described(error, self._custom.file)
            )
            _log.error("pool=%s policy=%s failure=%s", self._pool.id, self._custom.spec, said)
        if self._in_a_row >= FAILURES:
            self._give_up()

    def _give_up(self) -> None:
        self.is_given_up = True
        _log.error(
            "pool=%s policy=%s given up after %d failures in a row, %s picks until the next reload",
            self._pool.id,
            self._custom.spec,
            self._in_a_row,
            self._custom.fallback,
        )
