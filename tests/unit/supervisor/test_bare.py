"""What a gunicorn that was started by hand says of its sockets."""

from __future__ import annotations

import socket
from pathlib import Path

from lb.model import Certificate, Config, Listener, State
from lb.supervisor.bare import places


def test_every_socket_is_named_with_its_listener(tmp_path: Path) -> None:
    listeners = (
        Listener("traffic", "traffic", ("127.0.0.1:0",), certificates=(Certificate("c", "k"),)),
        Listener("status", "status", (f"unix:{tmp_path}/s",)),
    )
    config = Config("lb.yaml", listeners, (), (), State("/"))
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"{tmp_path}/s")
        said = places(config, [tcp, unix], {"LISTEN_FDNAMES": "traffic:status"})
        assert said == f"traffic=https://127.0.0.1:{tcp.getsockname()[1]} status=unix:{tmp_path}/s"
