"""`pyi-store purge`: takes what a file ever held out of a whole store."""

import os

import click

from pyi_fs.cli import workspaces
from pyi_fs.cli.live_mounts import live_mounts
from pyi_fs.cli.program import complain, counted, is_confirmed, own_store_option
from pyi_fs.cli.progress import size_text, step_progress
from pyi_fs.engine import purge, purge_execution
from pyi_fs.engine.store import Store
from pyi_fs.errors import BusyError
from pyi_fs.ids import WorkspaceName

NAME = "pyi-store"


@click.command("purge")
@click.argument("workspace")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@own_store_option
@click.option("--everywhere", is_flag=True, help="Also what other files have of the same bytes.")
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def purge_command(
    context: click.Context,
    workspace: str,
    paths: tuple[str, ...],
    everywhere: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Replace what the files at PATH of WORKSPACE ever held by zeros, everywhere in the store.

    PATH is a file or a directory (all that was ever below it). All snapshots, forks and parents
    that have the file, journals, segments, chunks. Names, sizes and times stay. There is no undo.
    """
    if not workspaces.exists(context.obj, workspace):
        raise workspaces.missing(context.obj, workspace)
    store = Store.open(context.obj, create=False)
    context.call_on_close(store.close)
    names = [os.fsencode(path) for path in paths]
    with step_progress("looking") as progress:
        planned = purge.plan(store, workspace, names, everywhere=everywhere, progress=progress)
    for line in planned.lines():
        click.echo(line)
    _say_shared(planned)
    if dry_run:
        return int(_is_incomplete(planned))
    for name in planned.touched:
        _refuse_mounted(store, name)
    if not yes and not is_confirmed(_question(planned)):
        complain(NAME, "nothing was purged (--yes purges without asking)")
        return 1
    with step_progress("purging") as progress:
        done = purge_execution.carry_out(
            store, planned, check=lambda name: _refuse_mounted(store, name), progress=progress
        )
    complain(NAME, _summary(done))
    for note in done.notes:
        complain(NAME, note)
    return int(_is_incomplete(planned) or bool(done.notes))


def _is_incomplete(planned: purge.Plan) -> bool:
    return bool(planned.shared) and not planned.everywhere


def _say_shared(planned: purge.Plan) -> None:
    for where, size_bytes in planned.shared:
        what = "removed there too" if planned.everywhere else "not removed"
        complain(NAME, f"{where} has {size_text(size_bytes)} of it: {what}")
    if _is_incomplete(planned):
        complain(NAME, "what others have stays in both: --everywhere removes it from all")


def _refuse_mounted(store: Store, workspace: WorkspaceName) -> None:
    """Raises `BusyError` if a workspace is mounted, read-only mounts of snapshots included."""
    for mount in live_mounts(store.storage):
        if mount.workspace == workspace:
            where = mount.mountpoint
            raise BusyError(
                f"'{workspace}' has the file and is mounted at {where}: "
                f"`pyi-mount --unmount {where}` first"
            )


def _question(planned: purge.Plan) -> str:
    files, snapshots = len(planned.files), len(planned.sightings)
    where = ", ".join(planned.touched)
    return (
        f"Purge {counted(files, 'file')} from {where}, {counted(snapshots, 'snapshot')}? "
        "This is for ever."
    )


def _summary(done: purge_execution.Purged) -> str:
    return (
        f"purged {counted(done.files, 'file')}: {counted(done.records, 'record')} "
        f"of {counted(done.journals, 'journal')}, {counted(done.segments, 'segment')}, "
        f"{counted(done.maps, 'map')}, {counted(done.tables, 'base table')}, "
        f"{counted(done.chunks, 'chunk')}, {counted(done.snapshots, 'sealed snapshot')}; "
        f"{counted(done.packs, 'pack')} went"
    )
