"""Sessions on a real balancer with several workers: who has a cookie stays, and moves when its backend dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.balancer import Balancer, running_balancer, simple_config
from tests.support.behaviours import answering
from tests.support.fault_origin import FaultOrigin, fault_origin
from tests.support.raw_client import get

LETTERS = ("a", "b", "c")


@dataclass
class Scene:
    balancer: Balancer
    origins: list[FaultOrigin]

    def ask(self, cookie: str = "") -> tuple[str, str]:
        """Which backend answered, on a connection of its own, and the cookie that it came with; empty: none."""
        answer = get(self.balancer.port, "/", fields=(f"Cookie: {cookie}",) if cookie else ())
        assert answer.status == 200, answer
        return answer.body.decode(), answer.value("set-cookie").partition(";")[0]


@pytest.fixture(scope="module", params=["worker", "wsgi"])
def subject(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scene(subject: str) -> Iterator[Scene]:
    with ExitStack() as stack:
        answers = (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + letter.encode() for letter in LETTERS)
        origins = [stack.enter_context(fault_origin(answering(answer))) for answer in answers]
        config = simple_config([one.port for one in origins], policy="round_robin", sticky="lb_backend")
        balancer = stack.enter_context(running_balancer({**config, "workers": 2}, subject))  # type: ignore[arg-type]
        yield Scene(balancer, origins)


def test_clients_are_known_by_their_address_to_all_workers(subject: str) -> None:
    with ExitStack() as stack:
        ports = []
        for letter in LETTERS:
            behaviour = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + letter.encode())
            ports.append(stack.enter_context(fault_origin(behaviour)).port)
        config = {**simple_config(ports, policy="sticky_round_robin"), "trusted_proxies": ["127.0.0.0/8"], "workers": 2}
        balancer = stack.enter_context(running_balancer(config, subject))  # type: ignore[arg-type]

        def ask(client: int) -> str:
            return get(balancer.port, fields=(f"X-Forwarded-For: 203.0.113.{client}",)).body.decode()

        first = [ask(client) for client in range(6)]
        assert first == [*LETTERS, *LETTERS]
        for _ in range(4):
            assert [ask(client) for client in range(6)] == first
        assert (balancer.state_dir / "clients").stat().st_size == 1 << 20


def test_sessions_on_all_workers(scene: Scene) -> None:
    first = [scene.ask() for _ in range(3)]
    assert sorted(letter for letter, _ in first) == list(LETTERS)
    for letter, cookie in first:
        assert [scene.ask(cookie) for _ in range(12)] == [(letter, "")] * 12
    assert (scene.balancer.state_dir / "sticky.key").stat().st_mode & 0o777 == 0o600


def test_a_session_moves_once_when_its_backend_dies(scene: Scene) -> None:
    letter, cookie = scene.ask()
    scene.origins[LETTERS.index(letter)].close()
    other, moved = scene.ask(cookie)
    assert other != letter
    assert moved not in ("", cookie)
    assert [scene.ask(moved) for _ in range(12)] == [(other, "")] * 12
