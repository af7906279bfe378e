"""`pyi-store`: what is in a store, and removing it."""

import dataclasses
import json
import shutil

import click

from pyi_fs.cli import workspaces
from pyi_fs.cli.inventory import SnapshotFacts, WorkspaceFacts, all_facts, workspace_facts
from pyi_fs.cli.log_file import log_directory
from pyi_fs.cli.program import run, store_option, store_path, version_option
from pyi_fs.cli.tables import show, time_text
from pyi_fs.engine.founding import remove_workspace
from pyi_fs.engine.store import Store
from pyi_fs.errors import BusyError

NAME = "pyi-store"
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@store_option
@version_option(NAME)
@click.pass_context
def command(context: click.Context, store: str | None) -> None:
    """List and remove the workspaces of a store."""
    context.obj = store_path(store)


def _opened(context: click.Context) -> Store:
    store = Store.open(context.obj, create=False)
    context.call_on_close(store.close)
    return store


@command.command("ls")
@_json_option
@click.pass_context
def list_command(context: click.Context, as_json: bool) -> None:
    """List the workspaces: name, branches, snapshots, made, where mounted."""
    found = all_facts(_opened(context)) if context.obj.exists() else []
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(facts) for facts in found], indent=2))
        return
    rows = [
        [
            facts.name,
            str(len(facts.branches)),
            str(len(facts.snapshots)),
            time_text(facts.made_ns),
            " ".join(mount.mountpoint for mount in facts.mounts),
        ]
        for facts in found
    ]
    show("", ["workspace", "branches", "snapshots", "made", "mounted at"], rows)


@command.command("info")
@click.argument("workspace")
@_json_option
@click.pass_context
def info_command(context: click.Context, workspace: str, as_json: bool) -> None:
    """Show the branches, snapshots and mounts of WORKSPACE."""
    if not workspaces.exists(context.obj, workspace):
        raise workspaces.missing(context.obj, workspace)
    facts = workspace_facts(_opened(context), workspace)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(facts), indent=2))
        return
    _show(facts)


def _show(facts: WorkspaceFacts) -> None:
    """Prints a workspace; every plain line begins with what it tells of."""
    rows = [["workspace", facts.name, time_text(facts.made_ns), facts.source]]
    show("", ["", "name", "made", "from"], rows)
    branches = [
        [
            "branch",
            branch.name,
            branch.last_snapshot or "",
            time_text(branch.made_ns),
            "ephemeral" if branch.ephemeral else "",
            branch.in_use or "",
        ]
        for branch in facts.branches
    ]
    show("", ["", "name", "last snapshot", "made", "", "in use"], branches)
    show(
        "",
        ["", "id", "name", "branch", "taken", "changes", "message"],
        [_snapshot_row(snapshot) for snapshot in facts.snapshots],
    )
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
        message or (f"({snapshot.automatic})" if snapshot.automatic else ""),
    ]


@command.command("rm")
@click.argument("workspace")
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
    question = (
        f"Remove '{workspace}' with {len(facts.branches)} branches "
        f"and {len(facts.snapshots)} snapshots?"
    )
    if not yes and not click.confirm(question, err=True):
        return 1
    remove_workspace(store, workspace)
    shutil.rmtree(log_directory(context.obj, workspace), ignore_errors=True)
    return 0


def main() -> None:
    """Runs `pyi-store`."""
    run(command)
