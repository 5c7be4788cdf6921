"""Which listener a socket belongs to."""

from __future__ import annotations

import pytest

from lb.model import Config, Listener, State
from lb.server.listeners import data_listeners, listener_of_each

TRAFFIC = Listener("traffic", "traffic", ("127.0.0.1:5000", "[::1]:5000"))
STATUS = Listener("status", "status", ("127.0.0.1:5051",))
ADMIN = Listener("admin", "admin", ("127.0.0.1:5050",))
CONFIG = Config("lb.yaml", (TRAFFIC, ADMIN, STATUS), (), (), State("/nowhere"))


def ids(sockets: int, names: str | None = None) -> list[str]:
    environ = {} if names is None else {"LISTEN_FDNAMES": names}
    return [listener.id for listener in listener_of_each(CONFIG, [object()] * sockets, environ)]


def test_the_admin_listener_is_not_a_workers() -> None:
    assert data_listeners(CONFIG) == [TRAFFIC, STATUS]


def test_by_name() -> None:
    assert ids(3, "status:traffic:traffic") == ["status", "traffic", "traffic"]
    assert ids(1, "status") == ["status"]


def test_by_the_order_of_binds_where_there_are_no_names() -> None:
    assert ids(3) == ids(3, "") == ["traffic", "traffic", "status"]


@pytest.mark.parametrize("names", ["status", "a:b:c", "traffic:traffic:admin", "traffic:traffic:status:status"])
def test_names_that_do_not_fit_count_for_nothing(names: str) -> None:
    assert ids(3, names) == ["traffic", "traffic", "status"]


def test_more_sockets_than_binds_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="4 sockets for 3 binds of traffic, status"):
        ids(4)
