"""`lb demo` before anything is started: ports, and what it says when one is taken."""

from __future__ import annotations

import socket
from pathlib import Path

from click.testing import CliRunner

from lb.cli.demo import Ports, demo, state_directory


def test_a_busy_port_is_named_with_the_option_that_moves_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        result = CliRunner().invoke(demo, ["--port-base", "0", "--traffic-port", str(port), "--backend-port-base", "0"])
    assert result.exit_code == 1
    assert f"port {port} is in use; choose another with --traffic-port" in result.output
    assert "lb demo --port-base 6000" in result.output


def test_ports_reach_the_configuration_by_the_environment() -> None:
    environ = Ports(traffic=6000, admin=6050, status=6051, backend_base=7000).environ()
    assert environ["LB_PORT"] == "6000"
    assert environ["LB_ADMIN_PORT"] == "6050"
    assert environ["LB_STATUS_PORT"] == "6051"
    assert [environ[f"LB_BACKEND_{number}"] for number in range(1, 7)] == [str(7000 + n) for n in range(1, 7)]


def test_a_temporary_state_directory_is_removed() -> None:
    with state_directory(None) as directory:
        (directory / "file").write_text("x")
    assert not directory.exists()


def test_a_chosen_state_directory_is_kept(tmp_path: Path) -> None:
    with state_directory(tmp_path / "a" / "b") as directory:
        pass
    assert directory.is_dir()
