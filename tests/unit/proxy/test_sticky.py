"""Sessions stay on their backend by a cookie, and move when it cannot be asked any more."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from time import monotonic_ns

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lb.errors import AttemptError
from lb.http1.forwarded import Caller
from lb.model import Backend, PoolTimeouts, Retry, Sticky
from lb.proxy.answer import LENGTH, Answer
from lb.proxy.deadlines import Deadline, Sweeper
from lb.proxy.exchange import Exchange
from lb.proxy.forward import forward
from lb.proxy.pool import LivePool
from lb.proxy.sticky import StickySessions, token
from lb.state.layout import DOWN, SH_EJECTED_UNTIL_NS, SH_REFUSED_NS, SH_VERDICT, UP
from lb.structs import replace
from tests.support.fault_origin import fault_origin
from tests.support.scripted import FakeClock, head_of
from tests.unit.proxy.attempts import FAULTS
from tests.unit.proxy.live import CALLER, backends, exchange_of, inflight, live_pool, open_pool, request

KEY, OLD = "0123456789abcdef", "fedcba9876543210"
STICKY = Sticky("lb_backend", (KEY,))
HTTPS = Caller(b"203.0.113.9", b"https", b"", b"", b"", b"")


def pool_of(*members: Backend, sticky: Sticky = STICKY, **settings: object) -> LivePool:
    return live_pool(*(members or backends(1, 2, 3)), sticky=sticky, **settings)  # type: ignore[arg-type]


def cookie_of(i: int, key: str = KEY) -> str:
    return f"Cookie: lb_backend={token(key, 'web', f'b{i}').decode()}"


def claimed(pool: LivePool, *fields: str, policy: str = "round_robin") -> tuple[int, Exchange]:
    """Who gets a request with these fields, and what has become of it."""
    assert pool.sticky is not None
    exchange = exchange_of(head_of("GET / HTTP/1.1", *fields), Deadline(None))
    exchange.member = pool.sticky.claim(exchange, pool, policy, b"", [])
    exchange.is_answering = True
    return pool.members.index(exchange.member), exchange


def told(pool: LivePool, exchange: Exchange, head: bytes = b"HTTP/1.1 200 OK\r\n") -> list[str]:
    """The lines that the answer gets beside its own."""
    assert pool.sticky is not None
    answer = Answer(200, head, LENGTH, b"")
    pool.sticky.tell(exchange, answer)
    assert answer.head.startswith(head)
    return answer.head[len(head) :].decode().split("\r\n")[:-1]


def picks(pool: LivePool, times: int, *fields: str) -> list[int]:
    found = []
    for _ in range(times):
        i, exchange = claimed(pool, *fields)
        exchange.release()
        found.append(i)
    return found


def test_who_is_new_is_picked_by_the_policy_and_told_a_cookie() -> None:
    pool = pool_of()
    assert picks(pool, 4) == [0, 1, 2, 0]
    i, exchange = claimed(pool)
    name, private = told(pool, exchange)
    assert name == f"Set-{cookie_of(i)}; Path=/; HttpOnly; SameSite=Lax"
    assert private == "Cache-Control: private"


def test_who_has_a_cookie_stays_and_takes_no_turn_of_the_order() -> None:
    pool = pool_of()
    assert picks(pool, 3, cookie_of(2)) == [2, 2, 2]
    assert picks(pool, 3) == [0, 1, 2]
    _, exchange = claimed(pool, cookie_of(2))
    assert told(pool, exchange) == []


@pytest.mark.parametrize("policy", ["round_robin", "peak_ewma", "maglev", "least_connections"])
def test_it_lies_over_any_policy(policy: str) -> None:
    pool = pool_of()
    for i in range(3):
        assert claimed(pool, cookie_of(i), policy=policy)[0] == i


COOKIES = {
    "among others": "Cookie: a=b; {}; c=d",
    "without a space": "cookie: a=b;{};c=d",
    "behind a junk value": "Cookie: lb_backend=junk; {}",
    "behind one of a similar name": "Cookie: xlb_backend=1; {}",
}


@pytest.mark.parametrize("line", COOKIES.values(), ids=COOKIES)
def test_where_the_cookie_may_stand(line: str) -> None:
    value = cookie_of(1).removeprefix("Cookie: ")
    assert picks(pool_of(), 2, line.format(value)) == [1, 1]


def test_several_cookie_lines() -> None:
    assert picks(pool_of(), 1, "Cookie: lb_backend=x", "X-Other: 1", cookie_of(2)) == [2]


@pytest.mark.parametrize(
    "line",
    [
        cookie_of(1, key=OLD),
        cookie_of(1) + "x",
        cookie_of(1)[:-1],
        f"Cookie: lb_backend={token(KEY, 'other', 'b1').decode()}",
        f"Cookie: lb_backend={token(KEY, 'web', 'gone').decode()}",
        "Cookie: lb_backend=",
        "Cookie: lb_backend",
        f"Cookie: LB_BACKEND{cookie_of(1)[18:]}",
        cookie_of(1).replace("Cookie", "X-Cookie"),
        f"X-A: b;{cookie_of(1)[8:]}",
    ],
)
def test_forged_foreign_and_unknown_ones_are_as_good_as_none(line: str) -> None:
    pool = pool_of()
    i, exchange = claimed(pool, line)
    assert i == 0
    assert told(pool, exchange)[0].startswith(f"Set-{cookie_of(0)};")


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60))
def test_no_cookie_does_harm(value: str) -> None:
    with contextlib.suppress(ValueError):
        clean = re.sub(r"[^\t -~\x80-\xff]", "", value)
        assert picks(pool_of(), 1, f"Cookie: lb_backend={clean}") == [0]


def test_of_thousands_only_some_are_looked_at() -> None:
    pool = pool_of()
    forged = "Cookie:" + " lb_backend=x;" * 31
    assert claimed(pool, f"{forged} {cookie_of(2)[8:]}")[0] == 2
    assert claimed(pool, forged, forged, cookie_of(2))[1].session == b""


def test_values_say_nothing_and_are_of_one_size() -> None:
    values = {token(KEY, "web", id) for id in ("10.0.0.1:80", "a", "x" * 200)}
    assert {len(value) for value in values} == {22}
    assert len(values) == 3


def test_a_new_key_takes_over_and_the_old_one_is_still_believed() -> None:
    pool = pool_of(sticky=Sticky("lb_backend", (KEY, OLD)))
    i, exchange = claimed(pool, cookie_of(1, key=OLD))
    assert i == 1
    assert told(pool, exchange)[0].startswith(f"Set-{cookie_of(1)};")


@pytest.mark.parametrize(
    ("change", "by_http", "by_https"),
    [
        ({}, "; Path=/; HttpOnly; SameSite=Lax", "; Path=/; HttpOnly; SameSite=Lax; Secure"),
        ({"secure": True, "http_only": False}, "; Path=/; SameSite=Lax; Secure", "; Path=/; SameSite=Lax; Secure"),
        ({"secure": False, "same_site": "unset"}, "; Path=/; HttpOnly", "; Path=/; HttpOnly"),
        (
            {"path": "/shop", "domain": "example.com", "max_age_s": 3600.0, "same_site": "none"},
            "; Path=/shop; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=None",
            "; Path=/shop; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=None; Secure",
        ),
    ],
)
def test_attributes(change: dict[str, object], by_http: str, by_https: str) -> None:
    pool = pool_of(sticky=replace(STICKY, **change))  # type: ignore[arg-type]
    for caller, wanted in ((CALLER, by_http), (HTTPS, by_https)):
        i, exchange = claimed(pool)
        exchange.caller = caller
        assert told(pool, exchange)[0] == f"Set-{cookie_of(i)}{wanted}"


@pytest.mark.parametrize(
    ("said", "is_added"),
    [
        ("Cache-Control: public, max-age=60", True),
        ("Cache-Control: no-cache", True),
        ("cache-control: max-age=0, private", False),
        ("Cache-Control: No-Store", False),
        ("Set-Cookie: session=private", True),
    ],
)
def test_no_shared_cache_keeps_a_cookie(said: str, is_added: bool) -> None:
    pool = pool_of()
    _, exchange = claimed(pool)
    lines = told(pool, exchange, f"HTTP/1.1 200 OK\r\n{said}\r\n".encode())
    assert ("Cache-Control: private" in lines) is is_added


# --- backends that cannot be asked


def put_down(pool: LivePool, i: int) -> None:
    pool.members[i].shared[SH_VERDICT] = DOWN


def eject(pool: LivePool, i: int) -> None:
    pool.members[i].shared[SH_EJECTED_UNTIL_NS] = monotonic_ns() + 10**12


def refuse(pool: LivePool, i: int) -> None:
    pool.members[i].shared[SH_REFUSED_NS] = monotonic_ns()


@pytest.mark.parametrize("break_it", [put_down, eject, refuse])
def test_a_session_moves_when_its_backend_fails(break_it: object) -> None:
    pool = pool_of()
    break_it(pool, 1)  # type: ignore[operator]
    pool.refresh()
    i, exchange = claimed(pool, cookie_of(1))
    assert i != 1
    assert told(pool, exchange)[0].startswith(f"Set-{cookie_of(i)};")


def with_state(i: int, **settings: object) -> LivePool:
    members = list(backends(1, 2, 3))
    members[i] = replace(members[i], **settings)  # type: ignore[arg-type]
    return pool_of(*members)


def test_a_disabled_backend_keeps_nobody() -> None:
    assert picks(with_state(1, state="disabled"), 2, cookie_of(1)) == [0, 2]


def test_a_backend_that_is_drained_keeps_its_sessions_and_gets_no_new_ones() -> None:
    pool = with_state(1, state="drain")
    assert picks(pool, 2, cookie_of(1)) == [1, 1]
    assert picks(pool, 4) == [0, 2, 0, 2]
    put_down(pool, 1)
    assert picks(pool, 1, cookie_of(1)) == [0]


def test_a_session_that_began_on_a_backup_stays_there() -> None:
    pool = with_state(1, backup=True)
    for member in pool.members:
        member.shared[SH_VERDICT] = UP
    pool.refresh()
    assert picks(pool, 2, cookie_of(1)) == [1, 1]
    assert 1 not in picks(pool, 4)


# --- full ones


def limited(queue_size: int = 10, queue_s: float = 5.0, **settings: object) -> LivePool:
    members = [replace(one, max_inflight=1, **settings) for one in backends(1, 2)]  # type: ignore[arg-type]
    return pool_of(*members, queue_size=queue_size, timeouts=PoolTimeouts(queue_s=queue_s))


@contextlib.contextmanager
def waiting_for(pool: LivePool, i: int, sweeper: Sweeper) -> Iterator[gevent.Greenlet]:
    """A request of a session on ``i``, which is full."""

    def ask() -> int:
        exchange = exchange_of(head_of("GET / HTTP/1.1", cookie_of(i)), Deadline(gevent.getcurrent()))
        exchange.total_at = exchange.started + 60
        sweeper.deadlines.add(exchange.deadline)
        assert pool.sticky is not None
        try:
            return pool.members.index(pool.sticky.claim(exchange, pool, "round_robin", b"", []))
        finally:
            sweeper.deadlines.discard(exchange.deadline)

    asking = gevent.spawn(ask)
    gevent.idle()
    yield asking
    asking.kill()


def test_a_full_backend_is_waited_for_while_another_has_room(sweeper: Sweeper) -> None:
    pool = limited()
    _, first = claimed(pool, cookie_of(1))
    first.waiting = pool.waiting
    with waiting_for(pool, 1, sweeper) as asking:
        assert not asking.ready()
        assert picks(pool, 1) == [0]
        first.release()
        assert asking.get() == 1


def test_it_is_not_waited_for_any_longer_when_it_goes_down(sweeper: Sweeper) -> None:
    pool = limited()
    claimed(pool, cookie_of(1))
    with waiting_for(pool, 1, sweeper) as asking:
        put_down(pool, 1)
        pool.refresh()
        assert asking.get() == 0


def test_nor_for_ever(sweeper: Sweeper) -> None:
    pool = limited(queue_s=0.02)
    claimed(pool, cookie_of(1))
    with waiting_for(pool, 1, sweeper) as asking, pytest.raises(AttemptError, match="queue_timeout"):
        asking.get()


def test_where_nobody_may_wait_a_session_moves(sweeper: Sweeper) -> None:
    pool = limited(queue_size=0)
    claimed(pool, cookie_of(1))
    with waiting_for(pool, 1, sweeper) as asking:
        assert asking.get() == 0


# --- whole requests


@pytest.mark.parametrize("fault", ["refused", "busy", "closed-unanswered"])
def test_a_retry_elsewhere_moves_the_session(fault: str, deadline: Deadline) -> None:
    behaviours = [FAULTS[fault], FAULTS["good"]]
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(fault_origin(one)).port for one in behaviours]
        retry = Retry(on=("connect", "reset", "503"), budget_min_per_s=100.0)
        settings = {"sticky": STICKY, "retry": retry, "clock": FakeClock()}
        pool = stack.enter_context(open_pool(*backends(*ports), **settings))
        exchange = stack.enter_context(request(deadline, "GET / HTTP/1.1", cookie_of(0)))
        answer = forward(exchange, pool, "round_robin")
        assert (answer.status, exchange.member) == (200, pool.members[1])
        assert pool.sticky is not None
        pool.sticky.tell(exchange, answer)
        assert cookie_of(1).encode() in answer.head
        exchange.release()
        assert inflight(pool) == 0


def test_it_shows_what_it_is() -> None:
    assert repr(StickySessions("web", STICKY, backends(1, 2))) == "<StickySessions lb_backend=... of 2 backends>"


def test_a_backend_that_came_with_a_reload_while_a_request_waited_has_no_cookie_yet() -> None:
    pool = pool_of()
    _, exchange = claimed(pool)
    exchange.member = live_pool(*backends(7), sticky=STICKY).members[0]
    exchange.member.backend = replace(exchange.member.backend, id="new")
    assert told(pool, exchange) == []
