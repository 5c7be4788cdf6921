"""A store for round robin orders in this process: what ``order.lua`` does, said again, and a link that fails on order."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from lb.state.store.errors import StoreDown
from lb.state.store.keys import Keys

LIMIT = 10**14
T = TypeVar("T")


class OrderStore:
    """``subscribers`` get every message's words behind ``order``."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, str]] = {}
        self.subscribers: list[list[list[str]]] = []

    def run(self, keys: list[str], args: list[str]) -> list[int]:
        machine, news, reply = args[1], [], []
        for i, key in enumerate(keys):
            origin, *numbers = args[2 + 6 * i : 8 + 6 * i]
            said, *answer = self._one(key, machine, origin, *map(int, numbers))
            news += said
            reply += answer
        for queue in self.subscribers if news else ():
            queue.append(list(news))
        return reply

    def _one(
        self, key: str, machine: str, origin: str, phase: int, taken: int, cycle: int, known: int, known_ticket: int
    ) -> tuple[Any, ...]:
        found = self.hashes.get(key, {})
        version, ticket = _number(found.get("version")), _number(found.get("ticket"))
        is_changed, done = False, 0
        if version is None or ticket is None or version < known:
            version, ticket, is_changed = known, known_ticket if known else phase, known > 0
        before, _, count = found.get(f"by {machine}", "").partition(" ")
        if before == origin:
            done = int(count)
        elif taken and (ticket - phase) % cycle == 0:
            done, ticket, version, is_changed = taken, ticket + taken, version + 1, True
            if not 0 <= ticket < LIMIT:
                ticket %= cycle
            found = {**found, f"by {machine}": f"{origin} {taken}"}
        if is_changed:
            self.hashes[key] = {**found, "version": str(version), "ticket": str(ticket)}
        return ([key, str(version), str(ticket)] if is_changed else []), version, ticket, done


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,14}", text) else None


class OrderLink:
    """As much of ``lb.state.store.link.Link`` as the part needs."""

    def __init__(self, store: OrderStore, name: str) -> None:
        self.store = store
        self.name = name
        self.keys = Keys("t")
        self.is_up = True
        self.on_up: list[Callable[[], None]] = []
        self.loses_answers = False
        self.meanwhile: Callable[[], None] | None = None
        """Done once, between the store's answer and its arrival."""
        self.calls = 0

    def call(self, step: Callable[[Any], T]) -> T:
        if not self.is_up:
            raise StoreDown("down")
        self.calls += 1
        answer = step(self)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.loses_answers:
            self.is_up = self.loses_answers = False
            raise StoreDown("the answer was lost")
        return answer

    def evalsha(self, digest: str, count: int, *words: str | int) -> list[int]:
        texts = [str(word) for word in words]
        return self.store.run(texts[:count], texts[count:])
