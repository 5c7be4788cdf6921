"""The charts of the documents are drawn from figures alone, and alike each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lb.simulate.charts import draw_all

SEEN = {"p50": 10.0, "p99": 90.5, "p99.9": 1234.5, "errors": 0.001, "shares": [2.5, 0.2, 0.3]}
FIGURES: dict[str, Any] = {
    "scenarios": {
        name: {"about": "A few words about it.", "requests": 10, "policies": {"round_robin": SEEN, "random": SEEN}}
        for name in ("antagonists-apart", "contract-hash")
    },
    "keys_moved": {"ring": {"2": 0.5, "10": 0.1}, "modulo": {"2": 0.5, "10": 0.9}},
}


def test_the_same_bytes_again(tmp_path: Path) -> None:
    drawn = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        draw_all(FIGURES, folder)
        drawn.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert drawn[0] == drawn[1]
    assert sorted(drawn[0]) == ["antagonists-apart.svg", "contract-hash.svg", "keys-moved.svg"]
    apart = drawn[0]["antagonists-apart.svg"].decode()
    assert ">90.5</text>" in apart and "0.10 % errors" in apart and "p99, published" in apart
    assert ">83.3</text>" in drawn[0]["contract-hash.svg"].decode()
