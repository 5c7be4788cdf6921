"""Names for probes: found once, kept for as long as they do not resolve; no caller waits for a look-up twice."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from lb.health import addresses as addresses_module
from lb.health import exchange
from lb.health.addresses import AddressBook, Addresses
from lb.health.probe import ProbeTarget, probe
from lb.model import Backend, BackendTls, Health
from tests.unit.health.origin import Origin, unused_port

NAME = "app.test"


class Names:
    """A resolver's answers; ``known`` empty: the name does not resolve. While ``gate`` is clear it hangs."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.asked = 0
        self.gate = Event()
        self.gate.set()

    def __call__(self, host: str, port: int) -> Addresses:
        self.asked += 1
        self.gate.wait()
        if not self.known:
            raise socket.gaierror(-2, "Name or service not known")
        return tuple((int(socket.AF_INET), (address, port)) for address in self.known)


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    with gevent.Timeout(30):
        yield


@pytest.fixture(autouse=True)
def always_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use of a name begins a look-up."""
    monkeypatch.setattr(addresses_module, "FRESH_S", 0.0)


def hosts(book: AddressBook) -> list[str]:
    return [address[0] for _, address in book.addresses(NAME, 80)]


def wait_until(claim: Callable[[], bool]) -> None:
    while not claim():
        gevent.sleep(0.002)


def test_the_last_good_addresses_stay_and_new_ones_follow(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lb.health")
    names = Names("192.0.2.1", "192.0.2.2")
    book = AddressBook(names)
    assert hosts(book) == ["192.0.2.1", "192.0.2.2"]
    names.known = ()
    for _ in range(3):
        asked = names.asked
        assert hosts(book) == ["192.0.2.1", "192.0.2.2"]
        wait_until(lambda asked=asked: names.asked > asked)  # type: ignore[misc]
    names.known = ("192.0.2.3",)
    wait_until(lambda: hosts(book) == ["192.0.2.3"])
    of_names = (record for record in caplog.records if record.name == "lb.health")
    said = [record.getMessage().partition(" error=")[0] for record in of_names]
    assert said == ["name=app.test resolved=no kept=2", "name=app.test resolved=yes"], "one line per change"


def test_a_resolver_that_hangs_holds_up_nobody_who_has_an_address() -> None:
    names = Names("192.0.2.1")
    book = AddressBook(names)
    hosts(book)
    names.gate.clear()
    assert [hosts(book) for _ in range(5)] == [["192.0.2.1"]] * 5
    gevent.sleep(0)
    assert names.asked == 2, "one look-up at a time"
    names.gate.set()


def test_a_name_that_never_resolved_is_an_error_until_it_does() -> None:
    names = Names()
    book = AddressBook(names)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            hosts(book)
    names.known = ("192.0.2.1",)
    assert hosts(book) == ["192.0.2.1"]


def test_what_was_found_after_the_callers_patience_is_there_for_the_next() -> None:
    names = Names("192.0.2.1")
    book = AddressBook(names)
    names.gate.clear()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        hosts(book)
    names.gate.set()
    assert hosts(book) == ["192.0.2.1"]
    assert names.asked == 1


def test_fresh_answers_are_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses_module, "FRESH_S", 600.0)
    names = Names("192.0.2.1")
    book = AddressBook(names)
    for _ in range(3):
        hosts(book)
        gevent.sleep(0)
    assert names.asked == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "::1"])
def test_addresses_are_no_names(host: str) -> None:
    names = Names()
    [(_, address)] = AddressBook(names).addresses(host, 80)
    assert (address, names.asked) == ((host, 80), 0)


def test_a_backend_stays_up_while_its_name_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()
    monkeypatch.setattr(exchange, "_book", AddressBook(names))
    with Origin() as origin:
        backend = Backend("b", host=NAME, port=origin.port)
        target = ProbeTarget(backend, Health("http", timeout_s=10.0), BackendTls())
        assert probe(target).reason == "name not resolved"
        names.known = ("127.0.0.1",)
        assert probe(target).ok
        names.known = ()
        assert [probe(target).reason for _ in range(3)] == ["ok"] * 3
        assert names.asked > 2


def test_every_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with Origin() as origin:
        monkeypatch.setattr(exchange, "_book", AddressBook(Names("127.0.0.2", "127.0.0.1")))
        there = Backend("b", host=NAME, port=origin.port)
        assert probe(ProbeTarget(there, Health("tcp", timeout_s=10.0), BackendTls())).ok
        nowhere = Backend("b", host=NAME, port=unused_port())
        assert probe(ProbeTarget(nowhere, Health("tcp", timeout_s=10.0), BackendTls())).reason == "connection refused"


def test_an_address_that_no_backend_may_have_is_left_out() -> None:
    assert hosts(AddressBook(Names("169.254.169.254", "192.0.2.1"))) == ["192.0.2.1"]
    with pytest.raises(OSError, match="never a backend"):
        hosts(AddressBook(Names("169.254.169.254")))
