"""The table of commands. A command's module is imported when the command is called, and not before."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import NamedTuple

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Entry(NamedTuple):
    """One command."""

    path: str
    """Where it is: `module:name`."""
    help: str
    """Its line in `smithers --help`; kept here so that help imports nothing."""


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Start": {
        "up": Entry("smithers.cli.up:up", "Run a workflow, or resume a run."),
        "graph": Entry(
            "smithers.cli.graph:graph", "Show what a workflow would run first, without running it."
        ),
    },
    "Watch": {
        "ps": Entry("smithers.cli.ps:ps", "List the runs."),
        "inspect": Entry("smithers.cli.inspect:inspect", "Show one run: every node, attempt and error."),
        "why": Entry("smithers.cli.why:why", "Say what a run or a node waits for, and what helps."),
        "output": Entry("smithers.cli.output:output", "Print what a run or a node returned."),
        "logs": Entry("smithers.cli.logs:logs", "Print a run's events, or follow them."),
        "events": Entry("smithers.cli.events:events", "Print the events of one node or of one type."),
        "chat": Entry("smithers.cli.chat:chat", "Show what agents were asked, said and did."),
        "tree": Entry("smithers.cli.tree:tree", "Show a run's tree, now or as it stood at a frame."),
        "node": Entry("smithers.cli.node:node", "Show all of one node: attempts, output, deadlines."),
    },
    "Answer": {
        "inbox": Entry("smithers.cli.inbox:inbox", "List what runs wait for people to decide or answer."),
        "approve": Entry("smithers.cli.decide:approve", "Approve what a run waits for; it goes on."),
        "deny": Entry("smithers.cli.decide:deny", "Deny what a run waits for; it goes on as it says."),
        "answer": Entry("smithers.cli.answer:answer", "Answer a run's question; it goes on."),
        "signal": Entry("smithers.cli.signal:signal", "Send a run a message by name."),
        "ask-human": Entry(
            "smithers.cli.ask_human:ask_human", "Called by an agent in its task: ask a person, and wait."
        ),
        "timer": Entry("smithers.cli.timer:timer", "Let a timer of a run be over."),
        "link": Entry("smithers.cli.link:link", "Do what a one-time link in a notice says."),
    },
    "Control": {
        "pause": Entry("smithers.cli.pause:pause", "Pause a run; a resume goes on at once."),
        "down": Entry("smithers.cli.down:down", "Pause every run of the project."),
        "hijack": Entry("smithers.cli.hijack:hijack", "Go on with an agent's conversation by hand."),
        "cancel": Entry("smithers.cli.cancel:cancel", "End a run."),
        "supervise": Entry("smithers.cli.supervise:supervise", "Go on with runs that nobody drives."),
    },
    "Care": {
        "agents": Entry("smithers.cli.agents:agents", "List the agents, find what keeps one from working."),
        "doctor": Entry("smithers.cli.doctor:doctor", "Find what is wrong, and say what to do."),
        "notify": Entry(
            "smithers.cli.notify:notify", "List what people were told of, or try how they are told."
        ),
        "cache": Entry("smithers.cli.cache:cache", "List or clear what tasks with a cache have stored."),
    },
}

COMMANDS: Mapping[str, Entry] = {
    name: entry for section in SECTIONS.values() for name, entry in section.items()
}

HIDDEN: Mapping[str, Entry] = {
    "host": Entry("smithers.cli.host:host", "Drive the runs that standard input names."),
}
"""What only commands call."""

OTHER_WORDS: Mapping[str, str] = {
    "run": "up",
    "start": "up",
    "resume": "up --resume",
    "list": "ps",
    "status": "inspect",
    "show": "inspect",
    "stop": "pause",
    "halt": "down",
    "shutdown": "down",
    "kill": "cancel",
    "daemon": "supervise",
}
"""What people type who know other tools, and the command that does it here."""


class LazyGroup(click.Group):
    """Knows its commands by the table only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.path.partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.path} is not a command")
        command.context_settings = {**CONTEXT, **command.context_settings}
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from difflib import get_close_matches

            word = OTHER_WORDS.get(args[0])
            near = [word] if word else get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in commands.items()])


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"smithers {version('smithers-orchestrator')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings=CONTEXT,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def smithers(ctx: click.Context) -> None:
    """Run AI coding agents as durable workflows: start one, kill it, resume it.

    A run is named by its id, by the beginning of its id, or by @last, the newest.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
