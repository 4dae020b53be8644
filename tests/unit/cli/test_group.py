"""The table of commands."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec

import click
import pytest

from smithers.cli.group import COMMANDS, SECTIONS, smithers

WRITTEN = [name for name, entry in COMMANDS.items() if find_spec(entry.path.partition(":")[0])]


def test_help_lists_every_command_under_its_section() -> None:
    with smithers.make_context("smithers", []) as context:
        text = smithers.get_help(context)
    for title, commands in SECTIONS.items():
        section = text.partition(f"{title}:\n")[2].partition("\n\n")[0]
        assert re.findall(r"^  ([\w-]+) ", section, re.MULTILINE) == list(commands)


def test_the_lines_of_help_fit_a_terminal_of_eighty_columns() -> None:
    for name, entry in COMMANDS.items():
        assert len(f"  {name:<7}  {entry.help}") <= 80


@pytest.mark.parametrize("name", WRITTEN)
def test_a_command_of_the_table_is_there_and_takes_help_and_a_store(name: str) -> None:
    module, _, attribute = COMMANDS[name].path.partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help
    lookers = [command]
    if isinstance(command, click.Group):  # asking an agent something has nothing to do with a store
        lookers = [one for its, one in command.commands.items() if its != "test"]
    for one in lookers:
        assert "--store" in [option for parameter in one.params for option in parameter.opts]
    with smithers.make_context("smithers", []) as context:
        found = smithers.get_command(context, name)
        assert found is not None
        with pytest.raises(click.exceptions.Exit):
            found.make_context(name, ["-h"], parent=context)
