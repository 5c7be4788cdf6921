"""Row 76: the wall clock of one machine's processes jumps by an hour, forth and back; nothing changes."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests import support
from tests.chaos.process.running import Run
from tests.chaos.store.pair import LIMIT, pair
from tests.support.raw_client import get
from tests.support.redis_server import redis_server
from tests.support.waiting import wait_for

LASTS_S = 10.0 if os.environ.get("LB_CHAOS") == "full" else 1.5
HOUR = timedelta(hours=1)
NEAR = timedelta(minutes=5)


class WallClock:
    """Of the processes that are started with ``environ``; seconds ahead of ours."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._file.write_bytes(bytes(8))
        library = folder / "clock_offset.so"
        gcc = shutil.which("gcc")
        if gcc is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(
                "gcc is not installed: apt-get install gcc libc6-dev"
            )
        source = Path(support.__file__).parent / "clock_offset.c"
        subprocess.run([gcc, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._file)}

    def jump_to(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", seconds))


def clock(run: Run) -> timedelta:
    """How far the last line of its log is from our clock."""
    said = re.findall(r"^ts=(\S+)Z ", run.log(), re.MULTILINE)[-1]
    return datetime.fromisoformat(said + "+00:00") - datetime.now(timezone.utc)


def test_an_hour_forth_and_back_changes_nothing(tmp_path: Path) -> None:
    wall = WallClock(tmp_path)
    with redis_server() as server, pair(tmp_path, [server.url] * 2, environ=[{}, wall.environ]) as both:
        both.change()
        both.wait_until_shared()
        workers = [run.wait_for_workers() for run in both.runs]
        for hours in (1, -1, 0):
            with both.counted(f"clock {hours:+} h"):
                wall.jump_to(hours * 3600)
                until = time.monotonic() + LASTS_S
                while time.monotonic() < until:
                    for kind in ("machines", "loads", "limits", "operators"):
                        assert both.shared(kind), kind
                    assert both.problems() == ["", ""]
                both.change(by=1)
                wait_for("a line of its log", lambda hours=hours: abs(clock(both.runs[1]) - hours * HOUR) < NEAR)  # type: ignore[misc]
                both.wait_until_shared(deadline_s=LASTS_S + 5)
                _check_limit(both.runs[1])
        assert [run.wait_for_workers() for run in both.runs] == workers, "nobody was taken for stuck"


def _check_limit(run: Run) -> None:
    """A place is free of the one that is held: it is given at once, and never more than there are."""
    started = time.monotonic()
    assert get(run.port, "/busy/0").status == 200
    assert time.monotonic() - started < LIMIT
