"""The admin API of a balancer on this machine (or another one), as commands use it: where it is, and the token.

By the control socket of its state directory where that can be opened, else by the admin listener. Loads what validates
configurations only to find a state directory that the file names.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import click

from lb.config import snapshot as snapshot_file
from lb.config.places import default_state_dir, file_path
from lb.config.problems import LocatedConfigError
from lb.errors import ConfigError
from lb.model import Config
from lb.state.publish import read_token, snapshot_path, token_of

TIMEOUT_S = 60.0
CONFIG, TOKEN = "LB_CONFIG", "LB_ADMIN_TOKEN"
DEFAULT_FILE = "lb.yaml"
DEFAULT_URL = "http://127.0.0.1:5050"
Connect = Callable[[], http.client.HTTPConnection]
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


class Unreachable(click.ClickException):
    """Nobody answers; exit status 1."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class Api:
    """``places``: ways to it, the best first; each with its name for people."""

    def __init__(self, places: list[tuple[str, Connect]], token: str) -> None:
        self._places = places
        self._token = token

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Unreachable if nobody answers anywhere. A request that was sent is never sent again elsewhere."""
        failures = []
        for name, connect in self._places:
            connection = connect()
            try:
                connection.connect()
            except OSError as error:
                failures.append(f"{name}: {error.strerror or error}")
                continue
            try:
                return self._asked(connection, method, path, body)
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{name}: {error or type(error).__name__}") from error
            finally:
                connection.close()
        raise Unreachable(
            "no balancer answers ("
            + "; ".join(failures)
            + "); is it running? --config, --state-dir and --url say where"
        )

    def _asked(self, connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> Answer:
        fields = {"Host": "localhost"} if isinstance(connection, _Unix) else {}
        if self._token:
            fields["Authorization"] = f"Bearer {self._token}"
        raw = None
        if body is not None:
            fields["Content-Type"], raw = "application/json", json.dumps(body).encode()
        connection.request(method, path, raw, fields)
        answer = connection.getresponse()
        text = answer.read()
        try:
            return Answer(answer.status, json.loads(text))
        except ValueError as error:
            raise http.client.HTTPException(
                f"answered {answer.status}, which is no answer of lb's admin API"
            ) from error


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def find(config: str | None, url: str | None, state_dir: str | None) -> Api:
    """From what the command line says; else LB_CONFIG, else lb.yaml, else the place that needs no configuration."""
    given = os.environ.get(TOKEN, "")
    file = config or os.environ.get(CONFIG) or DEFAULT_FILE
    folder = state_dir or _state_dir(file)
    running = _running(folder)
    token = given or (token_of(running) if running else read_token(folder))
    if url:
        return Api([(url, _tcp(url))], token)
    control = os.path.join(folder, "control.sock")
    places: list[tuple[str, Connect]] = [(control, lambda: _Unix(control))]
    urls = _urls(running) if running else [] if state_dir else [_listener(file)]
    return Api([*places, *((one, _tcp(one)) for one in urls)], token)


def _running(folder: str) -> Config | None:
    try:
        return snapshot_file.read_or_copy(snapshot_path(folder)).snapshot.config
    except ConfigError:
        return None


def _urls(config: Config) -> list[str]:
    binds = [bind for one in config.listeners if one.kind == "admin" for bind in one.bind]
    return [_url(bind) for bind in binds if not bind.startswith("unix:")]


def _url(bind: str) -> str:
    host, _, port = bind.rpartition(":")
    return f"http://{_ANYWHERE.get(host, host)}:{port}"


def _tcp(url: str) -> Connect:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
        raise click.UsageError(f"--url {url}: expected http://HOST:PORT")
    host, port = parts.hostname, parts.port or 80
    return lambda: http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)


def _state_dir(file: str) -> str:
    """As the file says, mistakes elsewhere in it notwithstanding; as if it said nothing where there is none."""
    said = _value(file, "state", "dir")
    return file_path(os.path.dirname(os.path.abspath(file)), said) if said else default_state_dir(os.environ)


def _listener(file: str) -> str:
    said = _value(file, "listeners", "admin", "bind")
    bind = said[0] if isinstance(said, list) and said else said
    return _url(bind) if isinstance(bind, str) and not bind.startswith("unix:") else DEFAULT_URL


def _value(file: str, *keys: str) -> Any:
    from lb.config.source import read_document  # here: YAML comes with it, and --url needs none

    if not os.path.exists(file):
        return None
    try:
        value = read_document(file, os.environ).data
    except LocatedConfigError as error:
        raise click.ClickException(str(error)) from error
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def options(command: Any) -> Any:
    """The three that say where the balancer is."""
    for option in (
        click.option("--state-dir", metavar="DIR", help="The balancer's state directory."),
        click.option("--url", metavar="URL", help="Its admin listener, as http://HOST:PORT."),
        click.option("--config", metavar="FILE", help="Its configuration (default: $LB_CONFIG, lb.yaml)."),
    ):
        command = option(command)
    return command
