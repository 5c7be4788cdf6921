"""``python -m backends --profile 1``: one demo backend, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys

import gevent

from backends.app import App
from backends.profiles import PROFILES
from backends.server import server


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backends", description="One demo backend.")
    parser.add_argument("--profile", type=int, choices=sorted(PROFILES), default=1, help="which of the six it is")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (default: 5000 + profile)")
    parser.add_argument("--name", default="", help="what it calls itself (default: backend-N)")
    parser.add_argument("--seed", type=int, help="makes the failures of ?fail= repeatable")
    parser.add_argument("--quiet", action="store_true", help="do not say where it listens")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = arguments(argv)
    profile = PROFILES[options.profile]
    skips_posts = os.environ.get("SKIP_SOME_REQUESTS", "").lower() == "true"
    app = App(profile, name=options.name, skips_posts=skips_posts, seed=options.seed)
    port = profile.port if options.port is None else options.port
    try:
        serving = server(app, options.host, port)
    except OSError as problem:
        print(f"{profile.name}: cannot listen on {options.host}:{port}: {problem.strerror}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, serving.stop, 0)
    if not options.quiet:
        print(f"{profile.name} on http://{options.host}:{serving.server_port}", flush=True)
    gc.enable()  # whoever starts us may have begun without
    serving.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
