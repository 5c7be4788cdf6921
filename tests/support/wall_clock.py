"""A wall clock that a test sets, for processes that it starts: their sleeping and their monotonic clock stay as they are."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest


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
        source = Path(__file__).with_name("clock_offset.c")
        subprocess.run([gcc, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
        self.environ = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._file)}

    def jump_to(self, seconds: int) -> None:
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", seconds))
