from __future__ import annotations

import pytest

from lb.model import Config, Listener, State
from lb.supervisor.addresses import Bind, control_binds, data_binds, match_names, split_host_port

CONFIG = Config(
    "lb.yaml",
    (
        Listener("web", "traffic", ("0.0.0.0:80", "[::]:80")),
        Listener("ops", "admin", ("127.0.0.1:5050",)),
        Listener("probe", "status", ("0.0.0.0:5051",)),
    ),
    (),
    (),
    State("/var/lib/lb"),
)
WEB4, WEB6, PROBE = Bind("web", "0.0.0.0:80"), Bind("web", "[::]:80"), Bind("probe", "0.0.0.0:5051")


def test_traffic_and_status_are_the_data_planes_in_order() -> None:
    assert data_binds(CONFIG) == (WEB4, WEB6, PROBE)


def test_the_controller_has_its_own_socket_and_the_admin_listeners() -> None:
    assert control_binds(CONFIG) == (Bind("control", "unix:/var/lib/lb/control.sock"), Bind("ops", "127.0.0.1:5050"))


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:443", ("::1", 443)), ("localhost:0", ("localhost", 0))],
)
def test_host_and_port(address: str, parts: tuple[str, int]) -> None:
    assert split_host_port(address) == parts


@pytest.mark.parametrize("address", ["80", "host:", "host:http", "host:²"])
def test_not_host_and_port(address: str) -> None:
    with pytest.raises(ValueError, match="not host:port"):
        split_host_port(address)


def test_inherited_sockets_by_name_and_the_rest_by_order() -> None:
    assert match_names(["probe", "lb.socket", "lb.socket"], (WEB4, WEB6, PROBE)) == [PROBE, WEB4, WEB6]


def test_two_sockets_of_one_name_are_its_binds_in_order() -> None:
    assert match_names(["web", "web"], (WEB4, WEB6, PROBE)) == [WEB4, WEB6]


def test_more_sockets_than_binds_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="2 sockets were inherited, the configuration binds 1"):
        match_names(["web", "web"], (WEB4,))
