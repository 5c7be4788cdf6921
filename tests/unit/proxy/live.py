"""A pool as a worker has it, on fake cells; and one request sent through it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from random import Random
from time import monotonic

import gevent

from lb.http1.forwarded import Caller
from lb.http1.request import RequestHead
from lb.model import Backend, Health, Pool, StoreLoss
from lb.policies.groups import Standing
from lb.proxy.answer import Answer
from lb.proxy.body import WireBody
from lb.proxy.deadlines import Deadline
from lb.proxy.exchange import Exchange
from lb.proxy.member import Member, literal_address
from lb.proxy.pool import LivePool
from lb.proxy.regions import RegionalPolicies, Regions
from lb.proxy.stream import Stream
from lb.state.clients import Clients, private_table
from lb.state.columns import region_column, sum_column
from tests.support.scripted import FakeClock, FakeSegment, directory, head_of, pair

CALLER = Caller(b"203.0.113.9", b"http", b"X-Forwarded-For: 203.0.113.9\r\n", b"", b"", b"")
IDS = (b"0123456789abcdef0123456789abcdef", b"0123456789abcdef")
UNPROBED = Health(type="none")


class FakeTickets:
    """The numbers from 0 up, as they would be without other workers."""

    def __init__(self) -> None:
        self.cycle = 0
        self.taken = 0
        self.settled = 0

    def next(self) -> int:
        self.taken += 1
        return self.taken - 1

    def settle(self) -> None:
        self.settled += 1


class Cursors:
    """A ticket source per policy, as they were asked for."""

    def __init__(self) -> None:
        self.sources: dict[str, FakeTickets] = {}

    def __call__(self, policy: str) -> FakeTickets:
        assert policy not in self.sources
        self.sources[policy] = FakeTickets()
        return self.sources[policy]


def backends(*ports: int, **settings: object) -> tuple[Backend, ...]:
    return tuple(
        Backend(f"b{i}", host="127.0.0.1", port=port, **settings)  # type: ignore[arg-type]
        for i, port in enumerate(ports)
    )


def live_pool(
    *members: Backend,
    segment: FakeSegment | None = None,
    cursors: Callable[[str], FakeTickets] | None = None,
    clock: Callable[[], float] | None = None,
    workers: int = 1,
    on_store_loss: StoreLoss | None = None,
    regions: Regions | None = None,
    standing: Standing | None = None,
    **settings: object,
) -> LivePool:
    pool = Pool("web", members, **{"health": UNPROBED, **settings})  # type: ignore[arg-type]
    names = [f"backend:web/{backend.id}" for backend in members]
    columns = [region_column("web", region) for region in (regions.nearest if regions is not None else ())]
    cells = directory(["pool:web", *names, *columns, sum_column("web")], segment)
    sums = cells.of(sum_column("web")) if pool.hash.bounded_load is not None else None
    made = [Member(one, pool, cells.of(name), gevent.get_hub()) for one, name in zip(members, names, strict=True)]
    for member in made:
        member.addresses = literal_address(member.backend)
        member.cells.use_sums(sums)
    live = LivePool(
        pool, made, cells.of("pool:web"), cursors or Cursors(), Random(7).random, clock or FakeClock(), workers,
        on_store_loss,
        regional=None if regions is None else RegionalPolicies(pool, regions, cells.of),
        standing=standing,
        sums=sums,
    )  # fmt: skip
    live.clients = Clients("web", [one.id for one in members], pool.remember_s, private_table)
    live.refresh()
    return live


@contextlib.contextmanager
def open_pool(*members: Backend, **settings: object) -> Iterator[LivePool]:
    """Its idle connections are closed at the end."""
    pool = live_pool(*members, **{"clock": monotonic, **settings})  # type: ignore[arg-type]
    try:
        yield pool
    finally:
        pool.close()


def inflight(pool: LivePool) -> int:
    return sum(member.load() for member in pool.members)


def exchange_of(head: RequestHead, deadline: Deadline, *, caller: Caller = CALLER) -> Exchange:
    return Exchange(head, caller, IDS, deadline, monotonic())


@contextlib.contextmanager
def request(
    deadline: Deadline, line: str = "GET / HTTP/1.1", *fields: str, body: bytes = b"", length: int | None = None
) -> Iterator[Exchange]:
    """An exchange whose client has sent ``body``; of ``length`` bytes, if more are announced than come.

    The client's connection stays open. Over ``length`` None there is no body if ``body`` is empty.
    """
    size = len(body) if length is None else length
    head = head_of(line, *fields, *([f"Content-Length: {size}"] if size else []))
    exchange = exchange_of(head, deadline)
    with pair() as (ours, _):
        client = Stream(ours, gevent.get_hub())
        if head.has_body:
            exchange.body = WireBody(client, head.fields)
            exchange.body.start(body)
        yield exchange
        client.disarm()


def body_of(answer: Answer) -> bytes:
    """Everything of an answer's body; raises what its reader raises."""
    data = answer.first
    while answer.reader is not None and (piece := answer.reader.read()):
        data += piece
    return data
