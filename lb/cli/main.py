"""The command ``lb``: a table of commands, each imported only when it is called.

So ``lb run``, which becomes the supervisor, never imports what validates configurations.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class Entry(NamedTuple):
    target: str
    """``module:attribute`` of a click command."""
    summary: str


COMMANDS = {
    "run": Entry("lb.cli.run:run", "Run the balancer: supervisor, workers and controller."),
    "status": Entry("lb.cli.status:status", "Show pools and backends of the running balancer."),
    "backend": Entry("lb.cli.backend:backend", "Change backends of the running balancer."),
    "check": Entry("lb.cli.check:check", "Say every mistake in a configuration file."),
    "demo": Entry("lb.cli.demo:demo", "Run the balancer with six demo backends."),
    "schema": Entry("lb.cli.schema:schema", "Print the JSON Schema of the configuration file."),
    "native": Entry("lb.cli.native:native", "Compile the data path for this machine."),
    "simulate": Entry("lb.cli.simulate:simulate", "Compare policies on a virtual clock."),
    "import": Entry("lb.cli.importing:importing", "Translate another balancer's configuration."),
}


class LazyGroup(click.Group):
    """A group that knows the names and summaries of its commands without importing one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), f"{module}:{attribute} is not a click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lb", prog_name="lb")
def main() -> None:
    """An HTTP load balancer."""


if __name__ == "__main__":
    main()
