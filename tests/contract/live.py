"""A live balancer as a subject: a client that plays a case on a socket, byte for byte."""

from __future__ import annotations

import contextlib
from typing import Protocol

from tests.contract.case import Case, Heard
from tests.contract.origin import send_pieces
from tests.contract.script import Got, Pieces, Stage, Step, TheyGot
from tests.support.raw_client import Answer, RawClient, parse_answers

CANARY = b"GET / HTTP/1.1\r\nHost: canary.test\r\n\r\n"
CANARY_BODY = b"the canary sings"
"""Answered by the balancer itself; tells whether a connection can still be used."""

CLOSE_S = 1.0
"""How long a connection that is to end may take to do so. Less than stock gunicorn's ``keepalive`` of 2 s, which
ends any connection."""


class Subject(Protocol):
    def converse(self, case: Case, stage: Stage) -> Heard:
        """Plays the client's part of a case, whatever comes."""
        ...


class Live:
    """A balancer on a port."""

    def __init__(self, port: int) -> None:
        self._port = port

    def converse(self, case: Case, stage: Stage) -> Heard:
        with RawClient(self._port, source=case.peer) as client:
            speaker = _Speaker(client, case, stage)
            if all(map(speaker.take, case.steps)):
                speaker.read_answers()
                speaker.part()
            return speaker.heard()


class _Speaker:
    """One connection that plays a case."""

    def __init__(self, client: RawClient, case: Case, stage: Stage) -> None:
        self._client = client
        self._case = case
        self._stage = stage
        self._is_closed = False
        self._was_reset = False

    def take(self, step: Step) -> bool:
        """Whether the next step may follow."""
        if isinstance(step, Got):
            return self._read_until(step.mark)
        if isinstance(step, TheyGot):
            self._stage.backend.wait_for(step.mark)
        elif isinstance(step, (bytes, Pieces)):
            self._send(step)
        else:
            self._client.half_close()
        return True

    def _send(self, step: bytes | Pieces) -> None:
        """Until the other side has had enough."""
        with contextlib.suppress(OSError):
            if isinstance(step, Pieces):
                send_pieces(self._client.sock, step)
            else:
                self._client.sock.sendall(step)

    def _read(self, patience_s: float | None = None) -> bool:
        """Takes what comes next; False when nothing more will."""
        self._client.sock.settimeout(patience_s or self._stage.patience_s)
        try:
            data = self._client.sock.recv(1 << 18)
        except TimeoutError:
            return False
        except OSError:
            self._is_closed = self._was_reset = True
            return False
        self._is_closed = not data
        self._stage.client.add(data)
        return bool(data)

    def _read_until(self, mark: bytes) -> bool:
        while mark not in self._stage.client:
            if not self._read():
                return False
        return True

    def read_answers(self) -> None:
        """Until the answers that the case wants are here, or no more come."""
        while not self._is_satisfied() and self._read():
            pass

    def part(self) -> None:
        """Sees whether the connection ends, or whether it can still be used."""
        if self._case.closes:
            while not self._is_closed and self._read(CLOSE_S):
                pass
        elif self._is_satisfied() and not self._is_closed and self._case.wanted:
            self._sing()

    def _is_satisfied(self) -> bool:
        data = bytes(self._stage.client)
        answers = self._answers(data)
        wanted = self._case.wanted
        return (
            len(answers) >= len(wanted)
            and all(answer.is_complete for answer in answers)
            and all(mark in data for mark in self._case.raw)
        )

    def _answers(self, data: bytes) -> list[Answer]:
        methods = [one.to for one in self._case.wanted]
        return parse_answers(data, methods, is_closed=self._is_closed and not self._was_reset)

    def _sing(self) -> None:
        """The connection must serve another request, with nothing left over from the case in its way."""
        size = len(bytes(self._stage.client))
        self._send(CANARY)
        while not bytes(self._stage.client).endswith(CANARY_BODY) and self._read():
            pass
        sung = bytes(self._stage.client)[size:]
        assert sung.startswith(b"HTTP/1.1 200 ") or not sung, f"left over on the connection: {sung[:300]!r}"

    def heard(self) -> Heard:
        data = bytes(self._stage.client)
        return Heard(self._answers(data), data, self._is_closed)
