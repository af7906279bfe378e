"""`pyi-gc`: gives back what nobody can come back to; pins snapshots; how that is done by itself."""

import json
import time
from collections.abc import Sequence

import click
import msgspec

from pyi_fs.cli import workspaces
from pyi_fs.cli.completion import workspace_names
from pyi_fs.cli.gc_settings import Size, with_words, words_of
from pyi_fs.cli.program import complain, run, store_option, store_path, version_option
from pyi_fs.cli.progress import size_text, step_progress
from pyi_fs.cli.tables import time_text
from pyi_fs.engine import garbage
from pyi_fs.engine.collecting import collect
from pyi_fs.engine.disk import disk_of
from pyi_fs.engine.evicting import Eviction, held_files, plan_evictions
from pyi_fs.engine.gc_record import Record, read_record
from pyi_fs.engine.gc_settings import read_settings, write_settings
from pyi_fs.engine.store import Store

NAME = "pyi-gc"


@click.command(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@store_option
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@click.option(
    "--keep-bytes",
    type=Size(),
    metavar="SIZE",
    help="Give up what undo could bring back, then unnamed snapshots, oldest first, until the"
    " store is no larger than this (default: the setting `budget`).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--settings", "show_settings", is_flag=True, help="Print the settings, and stop.")
@click.argument(
    "words",
    nargs=-1,
    metavar="[WORKSPACE]... | pin|unpin WORKSPACE ID | set NAME=VALUE...",
    shell_complete=workspace_names,
)
@version_option(NAME)
def command(
    store: str | None,
    dry_run: bool,
    keep_bytes: int | None,
    as_json: bool,
    show_settings: bool,
    words: tuple[str, ...],
) -> int:
    """Collect garbage: thin old snapshots, give back what nobody can come back to.

    Prints the plan with what each step frees, does it, says what was freed. Snapshots are thinned
    in all workspaces, or only in those named. Named and pinned snapshots stay, the last of each
    branch, and all of the last 10 minutes.

    `pin WORKSPACE ID` keeps a snapshot for ever, `unpin WORKSPACE ID` no longer.

    Mounts that are written to do the same by themselves, in the background, once an hour, and
    sooner when the disk fills. `set` changes how, for the whole store: `automatic=off`,
    `budget=20GB` (or a share of the disk: `80%`; `none`), `free=10GB` (less room than that on the
    disk is too little), `plain=10GB` (how much of it may be used for plain files, which mounts
    share; `0`: none), `all=24h hourly=7d daily=30d weekly=ever` (how long all snapshots stay, one
    an hour, one a day, one a week).
    """
    path = store_path(store)
    opened = Store.open(path, create=False)
    try:
        if len(words) == 3 and words[0] in ("pin", "unpin"):
            done = garbage.pin(opened, words[1], words[2], pinned=words[0] == "pin")
            click.echo(str(done))
            return 0
        if words[:1] == ("set",) and len(words) > 1 and all("=" in word for word in words[1:]):
            settings = with_words(read_settings(opened.storage), words[1:])
            write_settings(opened.storage, settings)
            show_settings = True
        if show_settings:
            return _show_settings(opened, as_json=as_json)
        for name in words:
            if not workspaces.exists(path, name):
                raise workspaces.missing(path, name)
        return _collect(opened, words, dry_run, keep_bytes, as_json)
    finally:
        opened.close()


def _collect(
    store: Store, words: tuple[str, ...], dry_run: bool, keep_bytes: int | None, as_json: bool
) -> int:
    settings, disk = read_settings(store.storage), disk_of(store.storage)
    if keep_bytes is None:
        keep_bytes = settings.budget(disk.size_bytes)
    evictions = plan_evictions(held_files(store.storage), settings, disk, time.time_ns())
    with step_progress("collecting") as progress:
        planned = garbage.plan(
            store,
            workspaces=words,
            policy=settings.policy(),
            keep_bytes=keep_bytes,
            progress=progress,
        )
    if not as_json:
        _show(planned, evictions)
    done = None
    if not dry_run:
        with step_progress("collecting") as progress:
            done = collect(
                store, planned, reason="asked for", evictions=evictions, progress=progress
            )
    if as_json:
        click.echo(json.dumps(_document(planned, evictions, done), indent=2))
    elif done is not None:
        complain(NAME, f"{size_text(done.freed_bytes)} given back")
    for note in () if done is None else done.notes:
        complain(NAME, note)
    if planned.missing_bytes:
        complain(
            NAME,
            f"the store stays {size_text(planned.missing_bytes)} above {size_text(keep_bytes or 0)}"
            ": what is left is named, pinned, new, or in use",
        )
        return 1
    return 0


def _show_settings(store: Store, *, as_json: bool) -> int:
    settings = read_settings(store.storage)
    record = read_record(store.storage)
    if as_json:
        last = None if record is None else msgspec.to_builtins(record)
        document = {"settings": msgspec.structs.asdict(settings), "last": last}
        click.echo(json.dumps(document, indent=2))
        return 0
    for word in words_of(settings):
        click.echo(word)
    complain(NAME, last_text(record))
    return 0


def last_text(record: Record | None) -> str:
    """Returns a sentence about the last collection."""
    if record is None:
        return "no collection yet"
    freed = size_text(record.freed_bytes)
    when = time_text(record.ended_ns)
    return f"last collection {when} ({record.reason}): {freed} given back"


def _show(planned: garbage.Plan, evictions: Sequence[Eviction]) -> None:
    for line in (*map(str, evictions), *planned.lines()):
        click.echo(line)
    evicted_bytes = sum(one.held.size_bytes for one in evictions)
    if evicted_bytes:
        complain(NAME, f"{size_text(evicted_bytes)} of plain files can be given back")
    all_of_it = size_text(planned.held_bytes)
    complain(NAME, f"{size_text(planned.frees_bytes)} of {all_of_it} can be given back")
    if planned.later_bytes:
        later = size_text(planned.later_bytes)
        complain(NAME, f"{later} more in 10 minutes: a workspace is in use")


def _document(
    planned: garbage.Plan, evictions: Sequence[Eviction], done: garbage.Freed | None
) -> dict[str, object]:
    evicted_bytes = sum(one.held.size_bytes for one in evictions)
    return {
        "evictions": [str(one) for one in evictions],
        "deletions": [
            {
                "workspace": deletion.workspace,
                "snapshot": deletion.removal.snapshot.id,
                "reason": deletion.removal.reason,
            }
            for deletion in planned.deletions
        ],
        "closings": [closing._asdict() for closing in planned.given.closings],
        "steps": planned.lines()[len(planned.deletions) + len(planned.given.closings) :],
        "notes": planned.notes,
        "held_bytes": planned.held_bytes,
        "frees_bytes": planned.frees_bytes + evicted_bytes,
        "later_bytes": planned.later_bytes,
        "missing_bytes": planned.missing_bytes,
        "done": None if done is None else done._asdict(),
    }


def main() -> None:
    """Runs `pyi-gc`."""
    run(command)
