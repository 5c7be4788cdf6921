"""A backend that does nothing wrong: ``python -m tests.support.hello_backend PORT``.

``/`` answers ``hello`` at once, ``/slow/SECONDS`` after that time, anything else echoes the request's
body. Keep-alive, any number of connections, silent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path.startswith("/slow/"):
        gevent.sleep(float(path.removeprefix("/slow/")))
    body = b"hello" if environ["REQUEST_METHOD"] == "GET" else environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


if __name__ == "__main__":
    WSGIServer(("127.0.0.1", int(sys.argv[1])), app, backlog=1024, log=None, error_log=None).serve_forever()
