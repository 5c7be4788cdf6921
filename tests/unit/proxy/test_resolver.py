"""Names of backends: looked up behind the scenes, the last good answer stays."""

from __future__ import annotations

import socket
from typing import Any

import gevent
import pytest

from lb.model import Backend, Pool
from lb.proxy import resolver as resolver_module
from lb.proxy.cells import private_cells
from lb.proxy.member import Member, literal_address
from lb.proxy.resolver import Addresses, Resolver


def v4(*hosts: str) -> Addresses:
    return tuple((int(socket.AF_INET), (host, 80)) for host in hosts)


class Names:
    """A resolver's answers by name; a name that is not here does not resolve."""

    def __init__(self, **known: Addresses) -> None:
        self.known = known
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Addresses:
        self.asked.append(host)
        try:
            return self.known[host.partition(".")[0]]
        except KeyError:
            raise socket.gaierror(-2, "Name or service not known") from None


def member_of(host: str) -> Member:
    backend = Backend("b", host=host, port=80)
    member = Member(backend, Pool("web", (backend,)), private_cells(), gevent.get_hub())
    member.addresses = literal_address(backend)
    return member


def resolver_of(names: Names, *members: Member) -> Resolver:
    return Resolver(lambda: members, names)


def test_names_get_their_addresses_and_literals_are_left_alone() -> None:
    named, literal = member_of("a.test"), member_of("192.0.2.9")
    names = Names(a=v4("192.0.2.1", "192.0.2.2"))
    assert resolver_of(names, named, literal).resolve_all()
    assert (named.addresses, literal.addresses) == (v4("192.0.2.1", "192.0.2.2"), v4("192.0.2.9"))
    assert names.asked == ["a.test"]


def test_the_last_good_answer_stays() -> None:
    names, member = Names(a=v4("192.0.2.1")), member_of("a.test")
    resolver = resolver_of(names, member)
    resolver.resolve_all()
    names.known.clear()
    assert resolver.resolve_all(), "what is there is enough"
    assert member.addresses == v4("192.0.2.1")
    names.known["a"] = v4("192.0.2.2")
    resolver.resolve_all()
    assert member.addresses == v4("192.0.2.2")


def test_one_without_any_address_is_not_complete_and_holds_up_nobody() -> None:
    missing, there = member_of("missing.test"), member_of("a.test")
    assert not resolver_of(Names(a=v4("192.0.2.1")), missing, there).resolve_all()
    assert there.addresses == v4("192.0.2.1")


def test_another_order_of_the_same_addresses_is_no_change() -> None:
    names, member = Names(a=v4("192.0.2.1", "192.0.2.2")), member_of("a.test")
    resolver = resolver_of(names, member)
    resolver.resolve_all()
    before = member.addresses
    names.known["a"] = v4("192.0.2.2", "192.0.2.1")
    resolver.resolve_all()
    assert member.addresses is before


@pytest.mark.parametrize(("known", "interval"), [(True, "INTERVAL_S"), (False, "RETRY_S")])
def test_it_looks_again_sooner_while_somebody_has_none(
    known: bool, interval: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INTERVAL_S", "RETRY_S"):
        monkeypatch.setattr(resolver_module, name, 0.002 if name == interval else 60.0)
    names = Names(**({"a": v4("192.0.2.1")} if known else {}))
    running = gevent.spawn(resolver_of(names, member_of("a.test")).run)
    with gevent.Timeout(5):
        while len(names.asked) < 3:
            gevent.sleep(0.002)
    running.kill()


def test_a_real_name_is_looked_up_off_the_hub(hub: Any) -> None:
    member = member_of("localhost")
    assert Resolver(lambda: [member]).resolve_all()
    assert {address[0] for _, address in member.addresses} <= {"127.0.0.1", "::1"}
    assert member.addresses


class Slow(Names):
    """Of which those without an answer never come back."""

    def __call__(self, host: str, port: int) -> Addresses:
        if host.partition(".")[0] not in self.known:
            gevent.sleep(3600)
        return super().__call__(host, port)


def test_a_name_that_nobody_answers_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.05)
    dead, good = member_of("dead.test"), member_of("a.test")
    resolver = resolver_of(Slow(a=v4("192.0.2.1")), dead, good)
    resolver.first_round()
    assert (dead.addresses, good.addresses) == ((), v4("192.0.2.1"))


def test_a_name_of_many_is_asked_for_once() -> None:
    members = [member_of("a.test") for _ in range(5)]
    names = Names(a=v4("192.0.2.1"))
    assert resolver_of(names, *members).resolve_all()
    assert names.asked == ["a.test"] and all(member.addresses for member in members)


def test_what_a_new_configuration_names_is_known_before_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.05)
    resolver = resolver_of(Slow(a=v4("192.0.2.1")))
    new, dead, literal = (Backend("b", host=host, port=80) for host in ("a.test", "dead.test", "192.0.2.9"))
    resolver.prepare((new, dead, literal))
    assert [resolver.known(one) for one in (new, dead, literal)] == [v4("192.0.2.1"), (), v4("192.0.2.9")]


def test_a_name_that_does_not_resolve_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    resolver = resolver_of(Names(), member_of("a.test"))
    for _ in range(3):
        resolver.resolve_all()
    assert len([line for line in caplog.messages if "a.test" in line]) == 1
