"""`pyi-store`: what is in a store, and removing it."""

import dataclasses
import json
import shutil
import sys

import click

from pyi_fs.cli import workspaces
from pyi_fs.cli.completion import workspace_names
from pyi_fs.cli.inventory import (
    Sizes,
    SnapshotFacts,
    WorkspaceFacts,
    all_facts,
    used,
    workspace_facts,
)
from pyi_fs.cli.log_file import log_directory
from pyi_fs.cli.program import (
    complain,
    counted,
    is_confirmed,
    own_store_option,
    run,
    store_option,
    store_path,
    version_option,
)
from pyi_fs.cli.progress import size_text, step_progress
from pyi_fs.cli.purging import purge_command
from pyi_fs.cli.tables import show, time_text
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage import log_bytes_of
from pyi_fs.errors import BusyError, StoreError
from pyi_fs.ids import WorkspaceName

NAME = "pyi-store"
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_quick_option = click.option("--no-sizes", is_flag=True, help="Leave out what takes reading.")


@click.group(NAME, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@store_option
@version_option(NAME)
@click.pass_context
def command(context: click.Context, store: str | None) -> None:
    """List and remove the workspaces of a store."""
    context.obj = store_path(store)


command.add_command(purge_command)


def _opened(context: click.Context) -> Store:
    store = Store.open(context.obj, create=False)
    context.call_on_close(store.close)
    return store


@command.command("ls")
@own_store_option
@_json_option
@_quick_option
@click.pass_context
def list_command(context: click.Context, as_json: bool, no_sizes: bool) -> None:
    """List the workspaces.

    Columns: name, branches, snapshots, made, own bytes, bytes shared with others, bytes that
    removing it gives back, where mounted. Sizes are left out while a workspace is damaged.
    """
    found = []
    if context.obj.exists():
        with step_progress("looking") as progress:
            found = all_facts(_opened(context), sizes=not no_sizes, progress=progress)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(facts) for facts in found], indent=2))
        return
    rows = [
        [
            facts.name,
            str(len(facts.branches)),
            str(len(facts.snapshots)),
            time_text(facts.made_ns) if facts.made_ns else "",
            *_sizes(facts.sizes),
            "damaged" if facts.damage else " ".join(mount.mountpoint for mount in facts.mounts),
        ]
        for facts in found
    ]
    columns = ["workspace", "branches", "snapshots", "made", "own", "shared", "frees", "mounted at"]
    show("", columns, rows)
    for facts in found:
        if facts.damage:
            complain(NAME, f"'{facts.name}' is damaged, `pyi-fsck` says more: {facts.damage}")


@command.command("info")
@click.argument("workspace", shell_complete=workspace_names)
@own_store_option
@_json_option
@_quick_option
@click.pass_context
def info_command(context: click.Context, workspace: str, as_json: bool, no_sizes: bool) -> None:
    """Show the branches, snapshots and mounts of WORKSPACE."""
    if not workspaces.exists(context.obj, workspace):
        raise workspaces.missing(context.obj, workspace)
    store = _opened(context)
    facts = workspace_facts(store, workspace)
    if not no_sizes and not facts.damage:
        with step_progress("looking") as progress:
            facts = workspace_facts(store, workspace, used(store, progress).get(workspace))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(facts), indent=2))
        return
    if facts.damage:
        raise StoreError(
            f"'{workspace}' is damaged: {facts.damage} (`pyi-fsck` says more, "
            f"`pyi-store rm {workspace}` removes it)"
        )
    _show(facts)


def _show(facts: WorkspaceFacts) -> None:
    """Prints a workspace; every plain line begins with what it tells of."""
    rows = [["workspace", facts.name, time_text(facts.made_ns), *_sizes(facts.sizes), facts.source]]
    show("", ["", "name", "made", "own", "shared", "frees", "from"], rows)
    branches = [
        [
            "branch",
            branch.name,
            branch.last_snapshot or "",
            time_text(branch.made_ns),
            *_sizes(branch.sizes),
            "ephemeral" if branch.ephemeral else "",
            branch.in_use or "",
        ]
        for branch in facts.branches
    ]
    columns = ["", "name", "last snapshot", "made", "own", "shared", "frees", "", "in use"]
    show("", columns, branches)
    show(
        "",
        ["", "id", "name", "branch", "taken", "changes", "own", "shared", "frees", "message"],
        [_snapshot_row(snapshot) for snapshot in facts.snapshots],
    )
    if facts.undo_sizes is not None and facts.undo_sizes.own_bytes:
        show("", ["", "own", "shared", "frees"], [["undo", *_sizes(facts.undo_sizes)]])
    mounts = [
        [
            "mount",
            mount.mountpoint,
            mount.branch or f"@{mount.at}",
            "read-only" if mount.read_only else "",
            str(mount.pid),
            time_text(mount.since_ns),
        ]
        for mount in facts.mounts
    ]
    if facts.collection is not None:
        last = facts.collection
        row = ["collection", time_text(last.time_ns), _size(last.freed_bytes), last.reason]
        show("", ["", "last, of the store", "gave back", "why"], [row])
    if facts.plain is not None:
        row = ["plain", str(facts.plain.files), _size(facts.plain.size_bytes)]
        show("", ["", "files, of the store", "size"], [row])
    if mounts:
        show("", ["", "mounted at", "shows", "", "process", "since"], mounts)


def _snapshot_row(snapshot: SnapshotFacts) -> list[str]:
    message = snapshot.message.partition("\n")[0]
    return [
        "snapshot",
        snapshot.id,
        snapshot.name or "",
        snapshot.branch,
        time_text(snapshot.time_ns),
        f"+{snapshot.added} ~{snapshot.modified} -{snapshot.deleted}",
        *_sizes(snapshot.sizes),
        message or (f"({snapshot.automatic})" if snapshot.automatic else ""),
    ]


def _sizes(sizes: Sizes | None) -> list[str]:
    """Returns own, shared, freed bytes: for people on a terminal, to the byte elsewhere."""
    if sizes is None:
        return ["", "", ""]
    return [_size(size) for size in (sizes.own_bytes, sizes.shared_bytes, sizes.frees_bytes)]


def _size(size_bytes: int) -> str:
    return size_text(size_bytes) if sys.stdout.isatty() else str(size_bytes)


@command.command("rm")
@click.argument("workspace", shell_complete=workspace_names)
@own_store_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove_command(context: click.Context, workspace: str, yes: bool) -> int:
    """Remove WORKSPACE with all its branches and snapshots. Forks of it stay."""
    if not workspaces.exists(context.obj, workspace):
        raise workspaces.missing(context.obj, workspace)
    store = _opened(context)
    facts = workspace_facts(store, workspace)
    if facts.mounts:
        where = facts.mounts[0].mountpoint
        raise BusyError(f"'{workspace}' is mounted at {where}: `pyi-mount --unmount {where}` first")
    expected = None
    if not yes:
        held = used(store).get(workspace)
        expected = held.held.frees_bytes if held is not None else None
        if not is_confirmed(_question(facts, expected)):
            complain(NAME, f"'{workspace}' was not removed (--yes removes it without asking)")
            return 1
    freed = log_bytes_of(store.storage, WorkspaceName(workspace))
    freed += remove_and_collect(store, workspace).freed_bytes
    later = (expected or 0) - freed
    # Chunks are shared by the whole store: what nobody needs any more a collection finds.
    more = f", {size_text(later)} more with the next collection (pyi-gc)" if later > 0 else ""
    complain(NAME, f"removed '{workspace}', {size_text(freed)} given back at once{more}")
    shutil.rmtree(log_directory(context.obj, workspace), ignore_errors=True)
    return 0


def _question(facts: WorkspaceFacts, expected: int | None) -> str:
    if facts.damage:
        return f"Remove '{facts.name}' with all that it had? It is damaged: {facts.damage}."
    own = "" if expected is None else f": {size_text(expected)} that nobody else needs"
    branches = counted(len(facts.branches), "branch")
    snapshots = counted(len(facts.snapshots), "snapshot")
    return f"Remove '{facts.name}' with {branches} and {snapshots}{own}?"


def main() -> None:
    """Runs `pyi-store`."""
    run(command)
