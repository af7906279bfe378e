"""`pyi-fork`: a new workspace that begins where another one is, without mounting it."""

import click

from pyi_fs.cli import workspaces
from pyi_fs.cli.arguments import place
from pyi_fs.cli.completion import workspace_names
from pyi_fs.cli.program import complain, run, store_option, store_path, version_option

NAME = "pyi-fork"


@click.command(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("workspace", metavar="WORKSPACE[@SNAPSHOT]", shell_complete=workspace_names)
@click.argument("new")
@store_option
@version_option(NAME)
def command(workspace: str, new: str, store: str | None) -> None:
    """Make the workspace NEW, which begins as WORKSPACE is now, or was at a snapshot.

    Costs the same whatever its size, also while WORKSPACE is mounted and written. Afterwards both
    are independent: either may be written or removed. A branch may be named instead of a snapshot.
    """
    place(new)
    complain(NAME, workspaces.fork(store_path(store), workspace, new))


def main() -> None:
    """Runs `pyi-fork`."""
    run(command)
