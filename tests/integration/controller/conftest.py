from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lb.controller.controller import Controller
from tests.integration.controller.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def controller(machine: Machine) -> Iterator[Controller]:
    """Not started yet; stopped at the end."""
    controller = machine.controller()
    yield controller
    controller.stop()
