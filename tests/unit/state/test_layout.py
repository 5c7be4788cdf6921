"""Every cell of the segment means one thing."""

from __future__ import annotations

from collections import Counter

import pytest

from lb.state import layout


@pytest.mark.parametrize("prefix", ["H_", "SH_", "W_", "R_", "SLOT_"])
def test_no_two_names_share_a_cell(prefix: str) -> None:
    cells = {name: cell for name, cell in vars(layout).items() if name.startswith(prefix)}
    cells.pop("SLOT_CELLS", None)
    twice = {cell for cell, times in Counter(cells.values()).items() if times > 1}
    assert cells
    assert not [name for name, cell in cells.items() if cell in twice]
