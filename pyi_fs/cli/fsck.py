"""`pyi-fsck`: checks what a store promises, also while it is mounted. Changes nothing.

Exit codes are those of fsck(8): 0 sound, 4 findings, 8 could not check, 16 usage. 1 (mended) is
never given: opening a store mends what a crash leaves, and damage is not mended by guessing.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from pyi_fs.cli.program import complain, run, store_option, store_path, version_option
from pyi_fs.engine.findings import Finding
from pyi_fs.engine.fsck import check_directory
from pyi_fs.errors import NotFoundError

NAME = "pyi-fsck"
FOUND = 4
COULD_NOT = 8
USAGE = 16


@click.command(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@store_option
@click.option("--verify-data", is_flag=True, help="Also read every byte that is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one a line.")
@version_option(NAME)
def command(store: str | None, verify_data: bool, as_json: bool) -> int:
    """Check every invariant of a store, also while it is mounted.

    Prints what is wrong and which files and snapshots that touches. Exit codes: 0 sound, 4
    findings, 8 could not check, 16 usage.
    """
    path = store_path(store)
    if not path.is_dir():
        raise NotFoundError(f"no store at {path}: name it with --store")
    with _progress() as progress:
        findings = check_directory(path, verify_data=verify_data, progress=progress)
    for finding in findings:
        click.echo(_as_json(finding) if as_json else str(finding))
    wrong = sum(finding.severity != "note" for finding in findings)
    if wrong:
        complain(NAME, f"{path}: {wrong} findings")
    return FOUND if wrong else 0


def _as_json(finding: Finding) -> str:
    fields: dict[str, Any] = finding._asdict()
    fields["paths"] = [path.decode(errors="backslashreplace") for path in finding.paths]
    return json.dumps(fields)


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Shows which file is looked at on a terminal's last line."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("checking") as status:
        yield lambda file: status.update(Text(f"checking {file}"))


def main() -> None:
    """Runs `pyi-fsck`."""
    run(command, failed=COULD_NOT, usage=USAGE)
