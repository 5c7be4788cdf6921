"""What a worker loads with the shared memory: nothing that validates, renders or talks to Redis."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("pydantic", "yaml", "redis", "prometheus_client", "click", "rich", "gevent", "msgspec", "lb.config")


def test_the_data_path_side_of_state_is_light() -> None:
    program = "import sys, lb.state.segment, lb.state.slot, lb.state.tickets; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "lb.state.tickets" in loaded
    assert not [name for name in loaded if name.startswith(FORBIDDEN)]


def test_publishing_loads_the_schema_only_to_read_a_file() -> None:
    program = "import sys, lb.state.publish; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "yaml"} & set(loaded)
