"""A WSGI server's own publication: never over a balancer that runs in the same state directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lb.errors import ConfigError
from lb.server.publication import Publication
from lb.state.publish import segment_paths
from lb.supervisor.pidfile import PidFile


def test_a_running_balancer_s_configuration_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    state.mkdir()
    file = tmp_path / "lb.yaml"
    file.write_text(f"pools: {{web: {{backends: [http://127.0.0.1:5001]}}}}\nstate: {{dir: {state}}}\n")
    monkeypatch.setenv("LB_CONFIG", str(file))
    monkeypatch.delenv("LB_SNAPSHOT", raising=False)
    owner = PidFile.claim(str(state))
    assert owner is not None
    with pytest.raises(ConfigError, match="in use by another lb run"):
        Publication()()
    assert not (state / "snapshot.json").exists()
    owner.remove()
    try:
        assert Publication()() == str(state / "snapshot.json")
    finally:
        for path in segment_paths(str(state)):
            Path(path).unlink(missing_ok=True)
        os.environ.pop("LB_SNAPSHOT", None)  # which it has set; monkeypatch would bring it back
