"""``lb run``: becomes the supervisor, so that nothing of the command line stays loaded in it."""

from __future__ import annotations

import os
import sys

import click

from lb.launch import program


@click.command()
@click.argument("file", default="lb.yaml", type=click.Path(readable=False))
def run(file: str) -> None:
    """Run the balancer on FILE (default: lb.yaml) until SIGTERM or Ctrl-C.

    SIGHUP reads FILE again; SIGUSR2 changes over to newly installed code. Neither loses a request.
    """
    if sys.stdout is not None:  # closed by whoever started us
        sys.stdout.flush()
    argv = program("lb.supervisor", file)
    os.execv(argv[0], argv)
