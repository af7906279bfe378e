"""`docs/commands.md` names every option, every word of `mount -o`, and nothing else."""

import re
from collections.abc import Iterator

import click
import pytest

from pyi_fs.cli import fork, fsck, gc, mount, store
from pyi_fs.cli.mount_flags import parsed_words
from pyi_fs.errors import InvalidArgumentError
from tests.support.commands import ROOT

TEXT = (ROOT / "docs" / "commands.md").read_text()
COMMANDS = (mount.command, fork.command, store.command, fsck.command, gc.command)


def options(command: click.Command) -> Iterator[str]:
    """Yields the visible long options of a command and its subcommands."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (name for name in parameter.opts if name.startswith("--"))
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            yield from options(subcommand)


def section(title: str) -> str:
    """Returns the text below a heading, up to the next of its kind."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_option_is_documented(command):
    documented = set(re.findall(r"--[a-z-]+", section(command.name)))
    assert set(options(command)) - {"--version", "--store"} <= documented


def test_no_option_is_invented():
    known = {name for command in COMMANDS for name in options(command)} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)", TEXT)) <= known


def test_the_words_of_mount_are_known():
    words = re.findall(r"`([a-z][a-z_]*)(=?)`", section("mount.fuse.pyi"))
    found = {name for name, _ in words} - {"findmnt", "pyi"}
    assert len(found) > 30
    for name, value in words:
        if name in found:
            parsed_words(f"{name}=1" if value else name)
    with pytest.raises(InvalidArgumentError):
        parsed_words("undocumented")
