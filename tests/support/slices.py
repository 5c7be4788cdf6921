"""The script of slices on a real Redis, with a clock and a server's identity that a test sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis

from lb.state.store import slices
from lb.state.store.keys import Keys
from lb.state.store.script import Script
from lb.state.store.slices import Answer, Grant, Renewal

KEYS = Keys("t")
START_MS = 10_000_000
_CLOCK, _RUN = "test:clock", "test:run"
SCRIPT = Script(
    slices.SCRIPT.text.replace("redis.call('TIME')", f"redis.call('LRANGE', '{_CLOCK}', 0, 1)").replace(
        "redis.pcall('INFO', 'server')", f"redis.pcall('GET', '{_RUN}')"
    )
)
assert SCRIPT.text.count("test:") == 2


class SlicesStore:
    """``now_ms`` is the store's; it knows everything (``born``) unless a test forgets something."""

    def __init__(self, client: Redis) -> None:
        self.client: Any = client
        self.now_ms = START_MS
        self.run = "aa"
        self._sequence = 0
        self.flush()
        self.client.set(KEYS.born, f"{START_MS - 60_000} aa")

    def flush(self) -> None:
        self.client.flushall()
        self._tell()

    def _tell(self) -> None:
        with self.client.pipeline() as pipeline:
            pipeline.delete(_CLOCK)
            pipeline.rpush(_CLOCK, self.now_ms // 1000, self.now_ms % 1000 * 1000)
            pipeline.set(_RUN, f"redis_version:7\r\nrun_id:{self.run}\r\n")
            pipeline.execute()

    def ask(self, step: Callable[[Any], Any]) -> Any:
        self._tell()
        return step(self.client)

    def pass_ms(self, time_ms: int) -> None:
        self.now_ms += time_ms
        self._tell()

    def is_now(self, run: str) -> None:
        """Another server, as after a failover."""
        self.run = run
        self._tell()

    def renew(
        self, machine: str, limit: int, held: int, wanted: int, age_ms: int = -1, *, name: str = "n", sequence: int = 0
    ) -> Grant | None:
        self._sequence += 1
        answer = self.answer(machine, sequence or self._sequence, Renewal(name, limit, held, wanted, age_ms))
        return answer.grants[0]

    def answer(self, machine: str, sequence: int, *renewals: Renewal) -> Answer:
        return slices.renew(self.client, KEYS, machine, sequence, renewals)

    def slices(self, name: str = "n") -> dict[str, int]:
        """What every machine holds, as stored."""
        return {machine: int(text.split()[0]) for machine, text in self.client.hgetall(KEYS.limit(name)).items()}
