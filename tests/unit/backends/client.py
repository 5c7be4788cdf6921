"""The least client that sees what a user sees, and raw bytes where that matters."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True, slots=True)
class Client:
    port: int

    def get(self, target: str, **headers: str) -> Answer:
        return self.send("GET", target, headers=headers)

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A body that is not bytes goes out chunked."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, target, body, dict(headers or {}), encode_chunked=not isinstance(body, bytes))
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    def exchange(self, raw: bytes) -> bytes:
        """Sends ``raw`` and returns everything until the server closes."""
        with self.connect() as connection:
            connection.sendall(raw)
            return b"".join(iter(lambda: connection.recv(65536), b""))
