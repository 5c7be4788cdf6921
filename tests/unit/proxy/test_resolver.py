"""Names of backends: looked up behind the scenes, the last good answer stays."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from lb.model import Backend, Pool
from lb.proxy import look_ups
from lb.proxy import resolver as resolver_module
from lb.proxy.cells import private_cells
from lb.proxy.look_ups import Addresses
from lb.proxy.member import Member, literal_address
from lb.proxy.resolver import Resolver
from lb.state.name_file import MOST_AGE_S, MOST_BYTES, NAME, NameFile


def v4(*hosts: str) -> Addresses:
    return tuple((int(socket.AF_INET), (host, 80)) for host in hosts)


class Names:
    """A resolver's answers by name; a name that is not here does not resolve."""

    def __init__(self, **known: Addresses) -> None:
        self.known = known
        self.asked: list[str] = []
        self.error = "Name or service not known"

    def __call__(self, host: str, port: int) -> Addresses:
        self.asked.append(host)
        try:
            return self.known[host.partition(".")[0]]
        except KeyError:
            raise socket.gaierror(-2, self.error) from None


def member_of(host: str, pool: str = "web") -> Member:
    backend = Backend("b", host=host, port=80)
    member = Member(backend, Pool(pool, (backend,)), private_cells(), gevent.get_hub())
    member.addresses = literal_address(backend)
    return member


def resolver_of(names: Names, *members: Member) -> Resolver:
    return Resolver(lambda: members, names)


def comes_true(look: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not look():
            gevent.sleep(0.002)


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
    resolver = resolver_of(names, member_of("a.test"))
    resolver.resolve_all()
    running = gevent.spawn(resolver.run)
    comes_true(lambda: len(names.asked) >= 3)
    running.kill()


def test_a_real_name_is_looked_up_off_the_hub(hub: Any) -> None:
    member = member_of("localhost")
    assert Resolver(lambda: [member]).resolve_all()
    assert {address[0] for _, address in member.addresses} <= {"127.0.0.1", "::1"}
    assert member.addresses


class Slow(Names):
    """Of which those without an answer never come back, and those with ``late`` not while it is clear."""

    def __init__(self, **known: Addresses) -> None:
        super().__init__(**known)
        self.late = Event()
        self.begun: list[str] = []

    def __call__(self, host: str, port: int) -> Addresses:
        self.begun.append(host)
        if host.partition(".")[0] not in self.known:
            gevent.sleep(3600)
        if host.startswith("late"):
            self.late.wait()
        return super().__call__(host, port)


def test_a_name_that_nobody_answers_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.05)
    dead, good = member_of("dead.test"), member_of("a.test")
    resolver = resolver_of(Slow(a=v4("192.0.2.1")), dead, good)
    resolver.resolve_all()
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
    resolver.prepare([Pool("web", (new, dead, literal))])
    assert [resolver.known(one) for one in (new, dead, literal)] == [v4("192.0.2.1"), (), v4("192.0.2.9")]


def test_more_dead_names_than_are_asked_for_at_once_delay_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_ups, "SLOW_S", 0.01)
    dead, good = [member_of(f"dead{number}.test") for number in range(2 * look_ups.AT_ONCE)], member_of("a.test")
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.2)
    assert not resolver_of(Slow(a=v4("192.0.2.1")), *dead, good).resolve_all()
    assert good.addresses == v4("192.0.2.1")


def test_a_pool_of_many_dead_names_delays_no_other_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.05)
    dead = [Backend(str(number), host=f"dead{number}.test", port=80) for number in range(500)]
    good = Backend("b", host="a.test", port=80)
    resolver = resolver_of(Slow(a=v4("192.0.2.1")))
    resolver.prepare([Pool("dead", tuple(dead)), Pool("web", (good,))])
    assert resolver.known(good)
    members = [member_of(one.host, "dead") for one in dead] + [member_of("a.test")]
    assert not resolver_of(Slow(a=v4("192.0.2.1")), *members).resolve_all()
    assert members[-1].addresses == v4("192.0.2.1")


def test_names_known_to_be_slow_take_no_more_than_their_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its turn all the same, and one that moves waits for none of them."""
    monkeypatch.setattr(look_ups, "SLOW_S", 0.01)
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.1)
    hosts = [f"late{number}" for number in range(look_ups.AT_ONCE + 8)]
    names = Slow(a=v4("192.0.2.1"), **dict.fromkeys(hosts, v4("192.0.2.3")))
    late, good = [member_of(f"{host}.test") for host in hosts], member_of("a.test")
    resolver = resolver_of(names, *late, good)
    resolver.resolve_all()
    names.late.set()
    comes_true(lambda: all(member.addresses for member in late))
    names.late.clear()
    names.begun.clear()
    names.known["a"] = v4("192.0.2.2")
    resolver.resolve_all()
    assert (good.addresses, len(names.begun)) == (v4("192.0.2.2"), look_ups.AT_ONCE + 1)
    names.late.set()
    comes_true(lambda: len(names.begun) == len(hosts) + 1)


def test_an_answer_that_comes_late_is_used_by_who_is_a_member_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.01)
    members, names = [member_of("late.test")], Slow(late=v4("192.0.2.1"))
    resolver = Resolver(lambda: members, names)
    assert not resolver.resolve_all()
    members[:] = [member_of("late.test")]
    assert not resolver.resolve_all()
    names.late.set()
    comes_true(lambda: members[0].addresses == v4("192.0.2.1"))
    assert names.asked == ["late.test"], "one look-up of it was enough"


def test_a_round_in_between_forgets_nothing_of_a_configuration_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "FIRST_ANSWERS_S", 0.05)
    resolver = resolver_of(Slow(a=v4("192.0.2.1")))
    new = [Backend("b", host=host, port=80) for host in ("a.test", "dead.test")]
    assert all(map(resolver.is_new, new))
    resolver.prepare([Pool("web", tuple(new))])
    resolver.resolve_all()
    assert resolver.known(new[0]) == v4("192.0.2.1")
    assert not any(map(resolver.is_new, new)), "a dead name delays one reload, not each"


def test_what_nobody_is_named_by_any_more_is_forgotten() -> None:
    members = [member_of("a.test"), member_of("gone.test")]
    resolver = Resolver(lambda: members, Names(a=v4("192.0.2.1")))
    backends = [member.backend for member in members]
    resolver.resolve_all()
    members.clear()
    resolver.resolve_all()
    assert all(map(resolver.is_new, backends))


def test_a_name_that_does_not_resolve_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    names = Names()
    resolver = resolver_of(names, member_of("a.test"))
    for error in ("Name or service not known", "Temporary failure in name resolution", "Name or service not known"):
        names.error = error
        resolver.resolve_all()
    assert len([line for line in caplog.messages if "a.test" in line]) == 1


@pytest.mark.parametrize(
    "odd", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1%lo", "::ffff:169.254.169.254", "::"]
)
def test_an_address_that_no_backend_may_have_is_left_out(odd: str, caplog: pytest.LogCaptureFixture) -> None:
    """A name is no way around what is refused in a URL; what it led to before stays."""
    names, member = Names(a=v4("192.0.2.1", odd)), member_of("a.test")
    resolver = resolver_of(names, member)
    assert resolver.resolve_all() and member.addresses == v4("192.0.2.1")
    names.known["a"] = v4(odd)
    assert resolver.resolve_all() and member.addresses == v4("192.0.2.1")
    assert "kept=1" in caplog.text and "` is " in caplog.text


def left_by_another(folder: Path, *hosts: str) -> Member:
    """A member of that name, in a worker that starts behind one that found these and ended."""
    before, after = member_of("a.test"), member_of("a.test")
    resolver = Resolver(lambda: [before], Names(a=v4(*hosts)), NameFile(str(folder)))
    resolver.resolve_all()
    greenlet = gevent.spawn(resolver.run)
    comes_true(lambda: (folder / NAME).exists())
    greenlet.kill()
    return after


def test_one_that_starts_while_nobody_answers_knows_what_the_one_before_knew(tmp_path: Path) -> None:
    after = left_by_another(tmp_path, "192.0.2.1", "192.0.2.2")
    resolver = Resolver(lambda: [after], Names(), NameFile(str(tmp_path)))
    assert resolver.known(after.backend) == v4("192.0.2.1", "192.0.2.2")
    assert resolver.resolve_all(), "what is known is enough"
    assert not resolver.known(Backend("other", host="other.test", port=80))


def test_what_it_finds_itself_counts(tmp_path: Path) -> None:
    after = left_by_another(tmp_path, "192.0.2.1")
    resolver = Resolver(lambda: [after], Names(a=v4("192.0.2.2")), NameFile(str(tmp_path)))
    resolver.resolve_all()
    assert after.addresses == v4("192.0.2.2")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: os.utime(path, (0, time.time() - MOST_AGE_S - 60)),
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
        lambda path: path.write_text('{"a.test": [[2, ["192.0.2.1", 80]]]}'),
        lambda path: path.write_text('{"a.test:80": [[2, []]]}'),
        lambda path: path.write_text('{"a.test:80": [[2, ["169.254.169.254", 80]]]}'),
        lambda path: path.write_text('{"a.test:80": []}'),
        lambda path: path.write_text('{"a.test:80": [[2, [["192.0.2.1"], 80]]]}'),
        lambda path: path.write_text(f'{{"a.test:80": [[2, {"[" * 100_000}{"]" * 100_000}]]}}'),
        lambda path: path.write_text('{"a.test:80": [[2, ["another.test", 80]]]}'),
        lambda path: path.write_text('{"a.test:80": [[2, ["192.0.2.1", 81]]]}'),
        lambda path: path.write_text('{"a.test:80": [[10, ["2001:db8::1", 80, 0, -1]]]}'),
        lambda path: path.write_text('{"a.test:80": [[1, ["192.0.2.1", 80]]]}'),
        lambda path: os.truncate(path, MOST_BYTES + 1),
        lambda path: (path.unlink(), os.mkfifo(path)),
        lambda path: (path.unlink(), path.mkdir()),
        Path.unlink,
    ],
    ids=[
        "old",
        "cut",
        "no-port",
        "no-address",
        "metadata",
        "none",
        "nested",
        "deep",
        "a-name",
        "another-port",
        "below-0",
        "family",
        "huge",
        "fifo",
        "folder",
        "gone",
    ],
)
def test_a_file_that_says_nothing_useful_is_none(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    after = left_by_another(tmp_path, "192.0.2.1")
    spoil(tmp_path / NAME)
    assert not Resolver(lambda: [after], Names(), NameFile(str(tmp_path))).known(after.backend)


def test_what_is_left_is_read_as_it_was(tmp_path: Path) -> None:
    found = {
        ("a.test", 80): v4("192.0.2.1", "192.0.2.2"),
        ("b.test", 443): ((socket.AF_INET6, ("2001:db8::1", 443, 0, 0)), (socket.AF_INET, ("192.0.2.3", 443))),
    }
    NameFile(str(tmp_path)).write(found)
    assert NameFile(str(tmp_path)).read() == found


def test_a_folder_that_cannot_be_written_to_costs_nothing(tmp_path: Path) -> None:
    file = NameFile(str(tmp_path / "none"))
    file.write({("a.test", 80): v4("192.0.2.1")})
    file.confirm()
    assert file.read() == {}
