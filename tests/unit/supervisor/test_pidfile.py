from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lb.supervisor.pidfile import PidFile, owner

CLAIM = "import sys; from lb.supervisor.pidfile import PidFile; print(PidFile.claim(sys.argv[1]))"


def test_one_process_has_a_state_directory(tmp_path: Path) -> None:
    mine = PidFile.claim(str(tmp_path))
    assert mine is not None
    assert owner(str(tmp_path)) == os.getpid()
    other = subprocess.run([sys.executable, "-c", CLAIM, str(tmp_path)], capture_output=True, text=True)
    assert other.stdout.strip() == "None"
    mine.remove()
    assert owner(str(tmp_path)) is None
    assert list(tmp_path.iterdir()) == []


def test_a_dead_owner_is_none(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", CLAIM, str(tmp_path)], check=True, capture_output=True)
    assert (tmp_path / "lb.pid").exists()
    assert owner(str(tmp_path)) is None
    mine = PidFile.claim(str(tmp_path))
    assert mine is not None
    mine.remove()


def test_a_directory_without_a_file_has_no_owner(tmp_path: Path) -> None:
    assert owner(str(tmp_path)) is None
