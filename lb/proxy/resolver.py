"""Addresses of backends that are named by host: looked up in the background, never on a request.

The last good answer stays while a name does not resolve, over the worker's end too. How many names are asked for at a time: ``lb.proxy.look_ups``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from operator import itemgetter
from time import monotonic
from typing import TypeVar

import gevent

from lb.model import Backend, Pool
from lb.proxy.look_ups import Addresses, LookUp, LookUps, Name
from lb.proxy.member import Member, literal_address
from lb.state.name_file import NameFile

INTERVAL_S = 10.0
RETRY_S = 1.0
FIRST_ANSWERS_S = 2.0
"""A worker, and a new configuration, waits so long for the names it has not asked for yet; most answer in milliseconds."""
T = TypeVar("T")
_log = logging.getLogger("lb.resolver")


class Resolver:
    """Keeps ``Member.addresses`` of one worker true. ``look_up`` is injected in tests.

    Every name is asked for once a round, and each answer is used as soon as it is there, also one that comes when
    the round is long over: a name that nobody answers delays no other.
    """

    def __init__(
        self, members: Callable[[], Iterable[Member]], look_up: LookUp | None = None, file: NameFile | None = None
    ) -> None:
        """``file``: what workers before this one found, and where it leaves what it finds."""
        self._file = file
        self._is_unsaved = False
        self._members = members
        self._look_ups = LookUps(self._learn, self._keep, look_up)
        self._of_name: dict[Name, list[Member]] = {}
        self._announced: set[Name] = set()
        """Of the configuration that comes next; nobody is a member by them yet."""
        self._found: dict[Name, Addresses] = file.read() if file else {}
        self._lost: set[Name] = set()
        """Those that did not resolve when last asked for."""

    def run(self) -> None:
        """For a greenlet, behind the first ``resolve_all``: forever. Between two rounds it asks again for those that
        have no address at all."""
        ends_at = monotonic() + INTERVAL_S
        while True:
            self._save()
            left_s = ends_at - monotonic()
            gevent.sleep(max(0.0, min(RETRY_S, left_s) if self._missing() else left_s))
            if monotonic() < ends_at:
                self._look_ups.ask(self._missing())
            else:
                ends_at = monotonic() + INTERVAL_S
                self._ask_all()
                if self._file and self._of_name:
                    self._file.confirm()

    def _save(self) -> None:
        if self._is_unsaved and self._file:
            self._file.write(self._found)
        self._is_unsaved = False

    def known(self, backend: Backend) -> Addresses:
        """Of a backend that somebody is about to make a member of: literal, or as last found; empty if never."""
        return literal_address(backend) or self._found.get((backend.host, backend.port), ())

    def knows_all(self, pools: Iterable[Pool]) -> bool:
        return not any(self.is_new(backend) for pool in pools for backend in pool.backends)

    def is_new(self, backend: Backend) -> bool:
        """Whether nobody has asked for its name yet: neither found it nor failed to."""
        name = backend.host, backend.port
        is_asked = name in self._found or name in self._lost or name in self._announced or name in self._of_name
        return not is_asked and not literal_address(backend)

    def resolve_all(self) -> bool:
        """A round over all named members, which may be others than at the last one. Waits ``FIRST_ANSWERS_S`` at most
        for their answers; False if one has no address at all."""
        self._of_name = self._named()
        self._forget()
        self._ask_all()
        self._look_ups.wait(self._of_name, FIRST_ANSWERS_S)
        return not self._missing()

    def _ask_all(self) -> None:
        """First for those that were found before: what others cost is theirs."""
        self._look_ups.ask(self._found.keys() & self._of_name.keys())
        self._look_ups.ask(self._of_name)

    def _missing(self) -> list[Name]:
        return [name for name in self._of_name if name not in self._found]

    def prepare(self, pools: Iterable[Pool], pause: Callable[[], None] = lambda: None) -> None:
        """Of the configuration that comes next: ask for what nobody has asked for yet. Waits ``FIRST_ANSWERS_S`` at
        most. ``pause``: called between two backends, may let others run."""
        found = []
        for pool in pools:
            for backend in pool.backends:
                if not literal_address(backend):
                    found.append((pool.id, backend))
                pause()
        named = _by_turns(found)
        new = {(backend.host, backend.port): None for backend in named if self.is_new(backend)}
        self._announced = {(backend.host, backend.port) for backend in named}
        self._look_ups.ask(new)
        self._look_ups.wait(new, FIRST_ANSWERS_S)

    def _named(self) -> dict[Name, list[Member]]:
        named: dict[Name, list[Member]] = {}
        for member in _by_turns((member.pool.id, member) for member in self._members() if member.is_named):
            backend = member.backend
            named.setdefault((backend.host, backend.port), []).append(member)
        return named

    def _forget(self) -> None:
        """What no backend is named by any more."""
        kept = self._of_name.keys() | self._announced
        for name in self._found.keys() - kept:
            del self._found[name]
        self._lost &= kept
        self._look_ups.forget(kept)

    def _learn(self, name: Name, found: Addresses) -> None:
        is_news = name in self._lost or set(found) != set(self._found.get(name, ()))
        self._lost.discard(name)
        self._found[name] = found
        if is_news:
            self._is_unsaved = True
            _log.info("name=%s addresses=%s", name[0], [address[0] for _, address in found])
        for member in self._of_name.get(name, ()):
            if set(found) != set(member.addresses):
                member.move(found)

    def _keep(self, name: Name, error: Exception) -> None:
        """One line per change, as ``lb.health.addresses`` has it."""
        if name not in self._lost:
            self._lost.add(name)
            _log.warning("name=%s error=%s kept=%d", name[0], error, len(self._found.get(name, ())))


def _by_turns(of_pool: Iterable[tuple[str, T]]) -> list[T]:
    """The first of every pool, then the second of every pool: one with many dead names delays no other pool's."""
    counts: Counter[str] = Counter()
    turns = []
    for pool, one in of_pool:
        turns.append((counts[pool], one))
        counts[pool] += 1
    return [one for _, one in sorted(turns, key=itemgetter(0))]
