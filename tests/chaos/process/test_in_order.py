"""Order is the machine's, not the worker's: curls one after the other at eight workers are answered by A, B, C."""

from __future__ import annotations

from pathlib import Path

from lb.state.layout import C_COUNT
from lb.state.segment import Segment
from tests.chaos.process.running import SLACK, Run
from tests.support.lettered import LETTERS, is_in_order, lettered_backends
from tests.support.raw_client import get

WORKERS = 8
CURLS = 90


def test_curls_at_eight_workers_are_a_b_c(tmp_path: Path) -> None:
    with lettered_backends() as backends:
        run = Run(tmp_path / "lb", backends, WORKERS)
        members = [{"id": id, "url": f"http://127.0.0.1:{port}"} for id, port in zip(LETTERS, backends, strict=True)]
        run.configure(workers=WORKERS, pools={"web": {"policy": "round_robin", "backends": members}})
        try:
            run.start()
            run.wait_until_ready()
            run.wait_for_workers()
            for _ in range(SLACK):  # tries: a machine that stands still for a moment makes several out of one
                taken = "".join(get(run.port).body.decode() for _ in range(CURLS))
                if is_in_order(taken):
                    break
            assert is_in_order(taken), taken
            assert len(_who_answered(run)) >= WORKERS // 2
        finally:
            run.end()


def _who_answered(run: Run) -> set[int]:
    """Slots of the workers."""
    snapshot = run.snapshot()
    segment = Segment.open(snapshot.segment)
    try:
        columns = [snapshot.columns[f"backend:web/{letter}"] for letter in LETTERS]
        slots = range(segment.slots)
        return {slot for slot in slots for column in columns if segment.counters(column, slot)[C_COUNT]}
    finally:
        segment.close()
