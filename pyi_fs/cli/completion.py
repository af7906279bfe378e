"""What a shell offers for an argument when TAB is pressed; click does the rest.

Without these nothing is offered, not even names of files.
"""

import click
from click.shell_completion import CompletionItem

from pyi_fs.cli import workspaces
from pyi_fs.cli.program import store_path
from pyi_fs.errors import PyiError


def workspace_names(
    context: click.Context,
    parameter: click.Parameter,  # noqa: ARG001 - as click calls it
    incomplete: str,
) -> list[str]:
    """Returns the workspaces of the store that begin so; opens nothing."""
    # A subcommand's own `--store` is in `obj`; the group itself does not run here.
    root = context.find_root()
    try:
        found = workspaces.names(context.obj or store_path(root.params.get("store")))
    except PyiError:
        return []
    return [name for name in found if name.startswith(incomplete)]


def directories(
    context: click.Context,  # noqa: ARG001 - as click calls it
    parameter: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Leaves it to the shell, which knows the directories."""
    return [CompletionItem(incomplete, type="dir")]
