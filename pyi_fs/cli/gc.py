"""`pyi-gc`: gives back what nobody can come back to; pins snapshots."""

import json
import re

import click

from pyi_fs.cli.program import complain, run, store_option, store_path, version_option
from pyi_fs.cli.progress import size_text, step_progress
from pyi_fs.engine import garbage
from pyi_fs.engine.store import Store

NAME = "pyi-gc"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)


class Size(click.ParamType[int]):
    """A number of bytes: `20GB`, `500M`, `1000`; powers of 1,000 like disks."""

    name = "SIZE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Returns the bytes; fails for what is no size."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"'{value}' is no size: write 500M or 20GB", param, ctx)
        return int(float(found[1]) * _UNITS[found[2].lower()])


@click.command(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@store_option
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@click.option(
    "--keep-bytes",
    type=Size(),
    metavar="SIZE",
    help="Delete unnamed snapshots, oldest first, until the store is no larger than this.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("words", nargs=-1, metavar="[WORKSPACE]... | pin|unpin WORKSPACE ID")
@version_option(NAME)
def command(
    store: str | None, dry_run: bool, keep_bytes: int | None, as_json: bool, words: tuple[str, ...]
) -> int:
    """Collect garbage: thin old snapshots, give back what nobody can come back to.

    Prints the plan with what each step frees, does it, says what was freed. Snapshots are thinned
    in all workspaces, or only in those named. Named and pinned snapshots stay, the last of each
    branch, and all of the last 10 minutes.

    `pin WORKSPACE ID` keeps a snapshot for ever, `unpin WORKSPACE ID` no longer.
    """
    opened = Store.open(store_path(store), create=False)
    try:
        if len(words) == 3 and words[0] in ("pin", "unpin"):
            done = garbage.pin(opened, words[1], words[2], pinned=words[0] == "pin")
            click.echo(str(done))
            return 0
        return _collect(opened, words, dry_run, keep_bytes, as_json)
    finally:
        opened.close()


def _collect(
    store: Store, words: tuple[str, ...], dry_run: bool, keep_bytes: int | None, as_json: bool
) -> int:
    with step_progress("collecting") as progress:
        planned = garbage.plan(store, workspaces=words, keep_bytes=keep_bytes, progress=progress)
    if not as_json:
        _show(planned)
    done = None
    if not dry_run:
        with step_progress("collecting") as progress:
            done = garbage.carry_out(store, planned, progress=progress)
    if as_json:
        click.echo(json.dumps(_document(planned, done), indent=2))
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


def _show(planned: garbage.Plan) -> None:
    for line in planned.lines():
        click.echo(line)
    held = size_text(planned.held_bytes)
    complain(NAME, f"{size_text(planned.frees_bytes)} of {held} can be given back")
    if planned.later_bytes:
        later = size_text(planned.later_bytes)
        complain(NAME, f"{later} more in 10 minutes: a workspace is in use")


def _document(planned: garbage.Plan, done: garbage.Freed | None) -> dict[str, object]:
    return {
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
        "frees_bytes": planned.frees_bytes,
        "later_bytes": planned.later_bytes,
        "missing_bytes": planned.missing_bytes,
        "done": None if done is None else done._asdict(),
    }


def main() -> None:
    """Runs `pyi-gc`."""
    run(command)
