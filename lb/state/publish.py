"""Make a configuration the one that everybody runs on. The command that does it is ``lb.supervisor.publisher``.

What is in force is the file's configuration (``state.dir/base.json``) under what operators changed
(``state.dir/operator.json``); either of them may change, and both survive a restart.

Order is the promise: tables and columns exist before the snapshot needs them, the snapshot is in place before the
segment's generation tells anybody to read it. Killed anywhere, running processes stay on the old snapshot or
move to the whole new one. Knows neither the data path nor probes, and not how a file is read.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lb.config import names
from lb.config import snapshot as snapshot_file
from lb.errors import ConfigError
from lb.model import Config, Snapshot
from lb.state import durable, geo_file, locks, operator_file, tables
from lb.state.columns import allocate, column_names
from lb.state.layout import SLOT_GENERATION
from lb.state.operator import Overlay, apply
from lb.state.segment import Segment, SegmentError, slots_for
from lb.state.sticky_key import with_sticky_keys
from lb.structs import replace

PATIENCE_S = 10.0
"""How long a publisher waits for another one; a whole publication takes a few milliseconds."""
_SHM = "/dev/shm"
_LOCK_BYTE = 0


class PublishError(Exception):
    """The snapshot could not be put in place; the old one is still in force."""


class StateDirError(PublishError):
    """The state directory cannot be made or written; the text says which and why."""


def make_state_dir(state_dir: str) -> None:
    """The directory is there afterwards and can be written, or StateDirError."""
    try:
        os.makedirs(state_dir, mode=0o750, exist_ok=True)
    except OSError as error:
        raise StateDirError(f"state.dir {state_dir} cannot be made: {error.strerror}; set state.dir") from error
    if not os.access(state_dir, os.W_OK | os.X_OK):
        raise StateDirError(f"state.dir {state_dir} cannot be written by this user; set state.dir")


def snapshot_path(state_dir: str) -> str:
    return os.path.join(os.path.abspath(state_dir), "snapshot.json")


def segment_paths(state_dir: str) -> list[str]:
    """Where the segment of a state directory may be, best first: in memory, else in the directory."""
    real = os.path.realpath(state_dir)
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
    return [f"{_SHM}/lb-{digest}.seg", os.path.join(real, "lb.seg")]


def publish(config: Config) -> Snapshot:
    """Put ``config`` in force as the next generation, also if nothing in it has changed.

    Two at once go one after the other. Blocks for that, at most ``PATIENCE_S``. PublishError,
    SegmentError or OSError: nothing has changed.
    """
    state_dir = os.path.abspath(config.state.dir)
    config = replace(config, state=replace(config.state, dir=state_dir))
    make_state_dir(state_dir)
    with _publish_lock(state_dir):
        _make_token(config)
        if config.geo is not None:
            with suppress(
                geo_file.GeoFileError
            ):  # the controller says it; until then everybody is in the default region
                geo_file.renew(config.geo.database, state_dir)
        base = snapshot_file.encode(Snapshot(0, config, "", {}))
        with durable.replaced(_base_path(state_dir), base):
            return _publish(config, operator_file.load(state_dir), _previous(state_dir))


Edit = Callable[[Snapshot, Overlay], Overlay]


def republish(state_dir: str, edit: Edit) -> Snapshot:
    """The configuration in force under other changes of operators: ``edit`` makes them of those there are, and sees
    what is in force. Nothing is published if it returns the same. Blocks as ``publish`` does, and raises what that
    does and what ``edit`` does: then nothing has changed."""
    with _publish_lock(state_dir):
        base = _base(state_dir)
        previous, found = _previous(state_dir), operator_file.load(state_dir)
        if previous is None:
            raise PublishError(f"{snapshot_path(state_dir)} cannot be read: reload the configuration first")
        overlay = edit(previous, found.overlay)
        if overlay == found.overlay and not found.problem:
            return previous
        with operator_file.kept(state_dir, overlay):
            return _publish(base, operator_file.Found(overlay), previous)


def _base_path(state_dir: str) -> str:
    return os.path.join(state_dir, "base.json")


def _base(state_dir: str) -> Config:
    try:
        return snapshot_file.read(_base_path(state_dir)).config
    except ConfigError as error:
        raise PublishError(f"{error}: reload the configuration first") from error


def _make_token(config: Config) -> None:
    """What changes take where the configuration has no token: made once, for the eyes of our own user."""
    path = token_path(config.state.dir)
    if any(listener.token for listener in config.listeners) or read_token(config.state.dir):
        return
    durable.write(path, os.urandom(32).hex().encode() + b"\n")


def token_path(state_dir: str) -> str:
    return os.path.join(state_dir, "admin.token")


def read_token(state_dir: str) -> str:
    """The generated one; empty if there is none that we may read."""
    try:
        with open(token_path(state_dir), encoding="ascii") as file:
            return file.read(1024).strip()
    except (OSError, ValueError):
        return ""


def token_of(config: Config) -> str:
    """What changes take with this configuration in force."""
    return next((one.token for one in config.listeners if one.token), "") or read_token(config.state.dir)


def _publish(base: Config, found: operator_file.Found, previous: Snapshot | None) -> Snapshot:
    config, problems = apply(with_sticky_keys(base), found.overlay)
    problems = (found.problem, *problems) if found.problem else problems
    tables.prepare(config.state.dir, config)
    segment, columns = _segment(config, previous)
    try:
        generation = 1 + max(segment.generation, previous.generation if previous else 0)
        snapshot = Snapshot(generation, config, segment.path, columns, problems=problems)
        snapshot_file.write(snapshot_path(config.state.dir), snapshot)
        segment.publish_generation(generation)
    finally:
        segment.close()
    if previous and previous.segment != snapshot.segment:
        _tell_old_segment(previous.segment, generation)
    tables.prune(config.state.dir, (config, *([previous.config] if previous else [])))
    return snapshot


def _segment(config: Config, previous: Snapshot | None) -> tuple[Segment, dict[str, int]]:
    """A segment with enough slots and columns, the one in use if it can be; and the columns."""
    places = segment_paths(config.state.dir)
    if previous and previous.segment in places:
        places.sort(key=lambda path: path != previous.segment)
    problems = []
    for path in places:
        try:
            return _prepared(path, config, previous)
        except SegmentError as error:
            problems.append(str(error))
    raise SegmentError("; ".join(problems))


def _prepared(path: str, config: Config, previous: Snapshot | None) -> tuple[Segment, dict[str, int]]:
    generation, kept = (previous.generation, previous.columns) if previous else (0, {})
    slots, columns = slots_for(config.workers), 1 + max(kept.values(), default=-1)
    segment = Segment.create(path, slots=slots, columns=columns, generation=generation)
    try:
        allocated = _columns(config, segment, previous)
        segment.grow(1 + max(allocated.values()))
    except SegmentError:
        segment.close()
        raise
    return segment, allocated


def _columns(config: Config, segment: Segment, previous: Snapshot | None) -> dict[str, int]:
    kept = previous.columns if previous else {}
    free = _reusable(segment, previous)
    columns = allocate(column_names(config, names.POLICIES), kept=kept, free=free, unused=segment.columns)
    for name in columns.keys() - kept.keys():
        if columns[name] < segment.columns:
            segment.clear(columns[name])
    return columns


def _reusable(segment: Segment, previous: Snapshot | None) -> list[int]:
    """Columns that nobody can be writing: the snapshot in force does not name them, every worker
    has moved on to it, and no request that began before is still counted in them."""
    segment.reap()
    in_force = previous.generation if previous else sys.maxsize
    if any(segment.slot_cells(index)[SLOT_GENERATION] < in_force for index in segment.live_slots()):
        return []
    named = set(previous.columns.values()) if previous else set()
    return [column for column in range(segment.columns) if column not in named and not segment.inflight(column)]


def _previous(state_dir: str) -> Snapshot | None:
    """The snapshot in force. None if there is none that we can read: then columns begin anew,
    behind those that running workers may be using."""
    try:
        return snapshot_file.read_or_copy(snapshot_path(state_dir)).snapshot
    except ConfigError:
        return None


def _tell_old_segment(path: str, generation: int) -> None:
    """Workers still look at the old segment's header; from there they find the new snapshot."""
    try:
        old = Segment.open(path)
    except SegmentError:
        return  # it is gone: they notice that by themselves
    old.publish_generation(generation)
    old.close()


@contextmanager
def _publish_lock(state_dir: str) -> Iterator[None]:
    path = os.path.join(state_dir, "publish.lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not locks.lock_within(fd, _LOCK_BYTE, PATIENCE_S):
            raise PublishError(f"{path}: another process has been publishing for {PATIENCE_S:g} s")
        yield
    finally:
        os.close(fd)  # which also unlocks
