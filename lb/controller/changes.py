"""Operators' changes: made here, told to the other machines, heard from them, put in force.

What a change means is decided in ``lb.state.operator``; a child process (``lb.state.operate``) keeps it and publishes.
With a store it is a change for all machines, made only if nobody made another one meanwhile; without, it is this
machine's own.
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from gevent.lock import BoundedSemaphore

from lb.controller.attachment import Attachment
from lb.launch import program
from lb.model import Snapshot
from lb.state import operator_file
from lb.state.operate import Order, adoption, check_expected, own_order
from lb.state.operator import Change, Overlay, Refused, decide, decode_entries, lost, unserved
from lb.state.segment import Segment
from lb.state.store import operator as stored
from lb.state.store.errors import StoreDown, StoreError
from lb.structs import Struct, replace

if TYPE_CHECKING:
    from lb.state.store.link import Link

Scope = Literal["", "machine", "cluster"]
PATIENCE_S = 20.0
"""Twice what a publisher waits for another one."""
_TRIES = 8
FIRST_TRY_S = 2.0
"""A controller that has just begun may not have reached the store yet: that is no reason to change this machine alone."""
_one_at_a_time = BoundedSemaphore(1)
_log = logging.getLogger("lb.operator")


class Done(Struct, frozen=True):
    """``generation``: of this machine's snapshot."""

    generation: int
    scope: Literal["machine", "cluster"]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def operate(state_dir: str, order: Order) -> Done:
    """Have it done by a child, after those before. Refused; 503 if it cannot be kept or put in force."""
    with _one_at_a_time:
        try:
            done = subprocess.run(
                program("lb.state.operate", state_dir),
                input=json.dumps(order), capture_output=True, text=True, check=False, timeout=PATIENCE_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Refused(503, "not_kept", f"the change cannot be put in force: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise Refused(503, "not_kept", f"the change cannot be put in force: {lines[-1]}")
    answer = json.loads(done.stdout)
    refused = answer.get("refused")
    if refused:
        raise Refused(refused["status"], refused["reason"], refused["text"])
    scope: Literal["machine", "cluster"] = "machine" if "own" in order else "cluster"
    return Done(
        answer["generation"], scope, tuple(answer["problems"]), tuple(answer.get("warnings", ()))
    )  # none: of a version before


class Operators:
    """A part of ``lb.controller.sync``: this machine follows what is changed on others, and tells what the store lost."""

    name = "operator"
    interval_s = 1.0
    news = "operator"

    def __init__(self, link: Link) -> None:
        self._link = link
        self._state_dir = ""
        self._said = ""

    def apply(self, snapshot: Snapshot, segment: Segment) -> None:
        self._state_dir = snapshot.config.state.dir

    def round(self) -> None:
        try:
            follow(self._link, self._state_dir)
            problem = ""
        except Refused as refused:
            problem = str(refused)
        except StoreDown:
            raise
        except StoreError as error:
            problem = str(error)
        if problem and problem != self._said:
            _log.warning("operators' changes cannot be followed: %s", problem)
        self._said = problem

    def hear(self, words: list[str]) -> bool:
        return True

    def end(self) -> None:
        pass


def follow(link: Link, state_dir: str) -> Done | None:
    """Be where the store is, or bring it back to where we are. None: both are the same already. StoreError, Refused."""
    overlay, store = operator_file.load(state_dir).overlay, store_name(link)
    if overlay.store != store:
        overlay = operate_and_load(state_dir, adoption(store, 0, {}))
    known, count = -1 if overlay.corrupt else overlay.generation, len(overlay.cluster)
    said = link.call(lambda client: stored.read(client, link.keys, known, count))
    if said.entries is None:
        return None
    done = None
    readable, corrupt = decode_entries(said.entries)
    if said.generation > overlay.generation or (said.generation == overlay.generation and corrupt != overlay.corrupt):
        done = operate(state_dir, adoption(store, said.generation, said.entries))
        overlay = operator_file.load(state_dir).overlay
    if said.generation < overlay.generation or any(lost(overlay, readable)):
        text = "store=%s has generation %d of operators' changes, ours is %d: what it lost is told again"
        _log.warning(text, link.address, said.generation, overlay.generation)
        generation, cluster = overlay.generation, overlay.cluster
        link.call(lambda client: stored.tell(client, link.keys, generation, cluster))
    return done


def operate_and_load(state_dir: str, order: Order) -> Overlay:
    operate(state_dir, order)
    return operator_file.load(state_dir).overlay


def store_name(link: Link) -> str:
    """Which store it is, without secrets: another one has other generations."""
    return f"{link.address} {link.keys}"


class Changes:
    """What the admin API asks for. ``link``: the store's at the moment of the call; None: there is none."""

    def __init__(self, attachment: Callable[[], Attachment], link: Callable[[], Link | None]) -> None:
        self._attachment = attachment
        self._link = link

    def current(self) -> Snapshot:
        """What is in force now. Refused if nothing is."""
        attachment = self._attachment()
        attachment.refresh()
        if attachment.snapshot is None:
            raise Refused(503, "no_snapshot", f"there is no configuration in force: {attachment.problem}")
        return attachment.snapshot

    def make(self, change: Change, scope: Scope, expected: int | None) -> Done:
        """``scope`` empty: for all machines, or for this one with a warning while the store is away. Refused."""
        link = self._link()
        warnings: tuple[str, ...] = ()
        if link is None and scope == "cluster":
            raise Refused(409, "no_store", "no store is configured: this machine is alone, its changes are its own")
        if link is not None and scope != "machine":
            link.wait_for_first_try(FIRST_TRY_S)
            try:
                return self._for_all(link, change, expected)
            except StoreError as error:
                if scope == "cluster":
                    raise Refused(503, "store_down", f"nothing was changed: {error}") from error
                warnings = (f"changed on this machine only: {error}",)
        snapshot = self.current()
        done = operate(snapshot.config.state.dir, own_order(change, _by(snapshot), expected))
        return replace(done, warnings=warnings + done.warnings)

    def _for_all(self, link: Link, change: Change, expected: int | None) -> Done:
        """Decided on what we know, made only if the store knows no more; else look and try again."""
        for _ in range(_TRIES):
            snapshot = self.current()
            check_expected(snapshot, expected)
            state_dir = snapshot.config.state.dir
            overlay = operator_file.load(state_dir).overlay
            if overlay.store == store_name(link):
                entry = replace(decide(snapshot.config, overlay.entry(change.name), change), by=_by(snapshot))
                if self._tell(link, overlay, change, entry):
                    return self._followed(link, state_dir)
            follow(link, state_dir)
        raise Refused(503, "contended", "others keep changing something: try again")

    @staticmethod
    def _tell(link: Link, overlay: Overlay, change: Change, entry: Any) -> bool:
        known = overlay.generation
        is_made, _ = link.call(lambda client: stored.change(client, link.keys, known, change.name, entry))
        return is_made

    def _followed(self, link: Link, state_dir: str) -> Done:
        """It is in the store: put it in force here. Our own loop may have done so already."""
        try:
            done = follow(link, state_dir)
        except StoreError as error:
            warning = f"told to all machines, but not yet in force on this one: {error}"
            return Done(self.current().generation, "cluster", warnings=(warning,))
        if done is not None:
            return done
        snapshot = self.current()
        return Done(snapshot.generation, "cluster", snapshot.problems, tuple(unserved(snapshot.config)))


def _by(snapshot: Snapshot) -> str:
    return snapshot.config.state.machine
