"""``lb run``, where ``lb.cli.entry`` has not become the supervisor already: its help, and its mistakes."""

from __future__ import annotations

import click

from lb.cli.entry import DEFAULT_FILE, become_supervisor


@click.command()
@click.argument("file", default=DEFAULT_FILE, type=click.Path(readable=False))
def run(file: str) -> None:
    """Run the balancer on FILE (default: lb.yaml) until SIGTERM or Ctrl-C.

    SIGHUP reads FILE again; SIGUSR2 changes over to newly installed code. Neither loses a request.
    """
    become_supervisor(file)
