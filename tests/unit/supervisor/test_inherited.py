from __future__ import annotations

import os

import pytest

from lb.supervisor.addresses import Bind
from lb.supervisor.inherited import adopt_inherited, inherited_names
from lb.supervisor.sockets import BindError, Held

OURS = {"LISTEN_PID": str(os.getpid())}


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"LISTEN_PID": "1", "LISTEN_FDS": "2"}, []),
        ({**OURS, "LISTEN_FDS": "0"}, []),
        ({**OURS, "LISTEN_FDS": "2"}, ["", ""]),
        ({**OURS, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "traffic:status"}, ["traffic", "status"]),
        ({**OURS, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "traffic"}, ["traffic", "", ""]),
    ],
)
def test_names_of_inherited_sockets(environ: dict[str, str], names: list[str]) -> None:
    assert inherited_names(environ) == names


def test_too_many_sockets_are_a_mistake_that_says_so() -> None:
    with pytest.raises(BindError, match="systemd socket activation: 2 sockets were inherited"):
        adopt_inherited(Held(), (Bind("traffic", "127.0.0.1:80"),), {**OURS, "LISTEN_FDS": "2"})
