from __future__ import annotations

from pathlib import Path

import pytest

from lb.errors import ConfigError
from lb.structs import replace
from lb.supervisor import outline
from lb.supervisor.addresses import control_binds, data_binds
from tests.unit.config.writing import SMALLEST, loaded


def test_everything_but_pools_and_routes_comes_back(tmp_path: Path) -> None:
    config = loaded(tmp_path, SMALLEST)
    read = outline.load(outline.dump(config))
    assert read == replace(config, pools=(), routes=())
    assert (data_binds(read), control_binds(read)) == (data_binds(config), control_binds(config))


def test_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="damaged outline"):
        outline.load("{")
