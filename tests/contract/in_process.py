"""Werkzeug's test client on the WSGI application as a subject, in this process."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent
from werkzeug.datastructures import Headers
from werkzeug.test import Client
from werkzeug.wrappers import Request

from lb.config import snapshot as snapshots
from lb.server.wsgi import Application
from tests.contract.case import Case, Heard
from tests.contract.script import PATIENCE_S, Stage, bytes_of
from tests.support.raw_client import Answer
from tests.support.recorded import Ended, Reader


class InProcess:
    """Werkzeug's test client on the WSGI application; everything runs in one thread with its own hub."""

    def __init__(self, snapshot_path: str) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._application = Application(lambda: snapshot_path)
        self._client = Client(self._call, use_cookies=False)
        self._body: Iterable[bytes] = ()

    def _call(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Remembers the body: Werkzeug's client does not close one whose first piece fails."""
        self._body = self._application(environ, start_response)
        return self._body

    def converse(self, case: Case, stage: Stage) -> Heard:
        talk = self._thread.submit(self._converse, case, stage)
        try:
            return talk.result(3 * PATIENCE_S)
        finally:
            talk.cancel()  # one that waits behind a stuck one must not come out in a later case

    def _converse(self, case: Case, stage: Stage) -> Heard:
        interim: list[int] = []
        environ = environ_of(bytes_of(case.steps), case.peer)
        environ["wsgi.early_hints"] = lambda fields: interim.append(103)
        try:
            response = self._client.open(Request(environ), buffered=False)
        except ConnectionError:
            self._body.close()  # type: ignore[attr-defined]
            return Heard([])
        fields = [(name.lower(), value) for name, value in response.headers]
        answer = Answer(response.status_code, fields, interim=interim)
        with contextlib.closing(response), contextlib.suppress(ConnectionError):
            for piece in response.iter_encoded():
                answer.body += piece
                stage.client.add(piece)
            answer.is_complete = True
        return Heard([answer], _wire(response.status, response.headers, answer.body))

    def close(self) -> None:
        self._thread.submit(lambda: gevent.get_hub().destroy(destroy_loop=True)).result()
        self._thread.shutdown()


def _wire(status: str, fields: Headers, body: bytes) -> bytes:
    """The answer as a server without opinions would write it."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def environ_of(raw: bytes, peer: str) -> dict[str, Any]:
    """The first request of ``raw`` as a WSGI server without opinions would hand it over."""
    reader = Reader(iter([raw, b""]).__next__, lambda request: None)
    request = reader.head()
    with contextlib.suppress(Ended):  # a body that is cut off is a short one
        reader.body(request)
    path, _, query = request.target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": request.target,
        "SERVER_PROTOCOL": request.line.rpartition(" ")[2],
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_SOFTWARE": "gevent/26.9",  # which closes behind a Connection field, and so is given one
        "REMOTE_ADDR": peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.fields:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


@contextlib.contextmanager
def in_process(config: Mapping[str, Any], directory: Path) -> Iterator[InProcess]:
    """The application on a configuration that is published as for a live balancer."""
    file = directory / "lb.yaml"
    listeners = {name: {"bind": f"127.0.0.1:{port}"} for port, name in enumerate(("traffic", "status", "admin"), 1)}
    file.write_text(json.dumps({"workers": 1, "state": {"dir": str(directory)}, **config, "listeners": listeners}))
    command = [sys.executable, "-m", "lb.supervisor.publisher", str(file)]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    subject = InProcess(path)
    try:
        yield subject
    finally:
        subject.close()
        Path(snapshots.read(path).segment).unlink(missing_ok=True)
