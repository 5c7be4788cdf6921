"""Free ports, and waiting until somebody answers on one."""

from __future__ import annotations

import http.client
import socket
import time


def free(count: int) -> list[int]:
    """Ports nobody listens on now. All are held until the last is found, so they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [int(sock.getsockname()[1]) for sock in held]
    for sock in held:
        sock.close()
    return found


def answers(port: int, path: str = "/") -> bool:
    """Whether one GET there gets a 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_for(port: int, deadline_s: float = 20.0, path: str = "/") -> bool:
    """Whether ``port`` answered 200 before the deadline."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if answers(port, path):
            return True
        time.sleep(0.02)
    return False
