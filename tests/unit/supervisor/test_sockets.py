from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.supervisor.addresses import Bind
from lb.supervisor.sockets import BindError, Held, _explain


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.keep_only(set())


def port_of(held: Held, bind: Bind) -> int:
    return int(held.url(bind, "http").rpartition(":")[2])


def can_connect(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        return sock.connect_ex((host, port)) == 0


def test_a_bound_socket_listens_before_anybody_serves_it(held: Held) -> None:
    bind = Bind("traffic", "127.0.0.1:0")
    assert held.ensure([bind]) == (bind,)
    assert can_connect(port_of(held, bind))


def test_what_is_held_is_not_bound_again(held: Held) -> None:
    bind = Bind("traffic", "127.0.0.1:0")
    held.ensure([bind])
    before = held.fds([bind])
    held.ensure([bind])
    assert held.fds([bind]) == before


def test_every_ipv6_address_beside_every_ipv4_address(held: Held) -> None:
    bind4 = Bind("traffic", "0.0.0.0:0")
    held.ensure([bind4])
    port = port_of(held, bind4)
    bind6 = Bind("traffic", f"[::]:{port}")
    if bind6 in held.ensure([bind4, bind6]):  # a machine without IPv6 leaves it out
        assert can_connect(port, "::1")
    assert can_connect(port)


def test_an_address_in_use_names_listener_address_and_holder(held: Held) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(BindError) as caught:
            held.ensure([Bind("status", address)])
    assert f"listener status: cannot bind {address}: Address already in use" in str(caught.value)
    assert f"held by pid {os.getpid()}" in str(caught.value)


def test_all_or_nothing(held: Held) -> None:
    first = Bind("traffic", "127.0.0.1:0")
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(BindError):
        held.ensure([first, Bind("status", f"127.0.0.1:{other.getsockname()[1]}")])
    assert not held.has(first.address)


def test_a_privileged_or_foreign_address_is_explained(held: Held) -> None:
    with pytest.raises(BindError, match=r"listener traffic: cannot bind 203\.0\.113\.1:80: "):
        held.ensure([Bind("traffic", "203.0.113.1:80")])


def test_a_stale_unix_socket_is_replaced(held: Held, tmp_path: Path) -> None:
    path = str(tmp_path / "lb.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
        dead.listen()
    held.ensure([Bind("traffic", f"unix:{path}")])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_unix_socket_that_answers_is_left_alone(held: Held, tmp_path: Path) -> None:
    path = str(tmp_path / "lb.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen()
        with pytest.raises(BindError, match="Address already in use"):
            held.ensure([Bind("traffic", f"unix:{path}")])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_a_file_in_the_place_of_a_unix_socket_is_left_alone(held: Held, tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    path.write_text("precious")
    with pytest.raises(BindError, match="not a socket"):
        held.ensure([Bind("traffic", f"unix:{path}")])
    assert path.read_text() == "precious"


def test_the_control_socket_is_private_and_other_unix_listeners_are_not(held: Held, tmp_path: Path) -> None:
    control, traffic = tmp_path / "state" / "control.sock", tmp_path / "lb.sock"
    held.ensure([Bind("control", f"unix:{control}"), Bind("traffic", f"unix:{traffic}")])
    assert stat.S_IMODE(control.stat().st_mode) == 0o600
    assert stat.S_IMODE(traffic.stat().st_mode) == 0o666


def test_releasing_removes_the_path(held: Held, tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    held.ensure([Bind("traffic", f"unix:{path}")])
    held.keep_only(set())
    assert not path.exists()


def test_the_path_of_an_inherited_socket_stays(held: Held, tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    held.adopt(f"unix:{path}", sock.detach(), unlink=False)
    held.keep_only(set())
    assert path.exists()


def test_a_port_that_takes_a_privilege_says_which() -> None:
    said = _explain(Bind("traffic", "0.0.0.0:80"), PermissionError(errno.EACCES, "Permission denied"))
    assert said.startswith(
        "listener traffic: cannot bind 0.0.0.0:80: Permission denied (a port this low takes CAP_NET_"
    )
    said = _explain(Bind("traffic", "unix:/run/lb.sock"), PermissionError(errno.EACCES, "Permission denied"))
    assert said == "listener traffic: cannot bind unix:/run/lb.sock: Permission denied"
