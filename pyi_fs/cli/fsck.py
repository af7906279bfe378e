"""`pyi-fsck`: checks what a store promises, also while it is mounted.

Changes nothing but with `--repair` and `--rebuild-index`. Exit codes are those of fsck(8): 0 sound,
1 mended and sound now, 4 findings, 8 could not check, 16 usage.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pyi_fs.cli.program import complain, counted, run, store_option, store_path, version_option
from pyi_fs.engine.findings import Finding
from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.repair import rebuild_index as rebuild_chunk_index
from pyi_fs.engine.repair import repair as repair_store
from pyi_fs.errors import NotFoundError

NAME = "pyi-fsck"
MENDED = 1
FOUND = 4
COULD_NOT = 8
USAGE = 16


@click.command(NAME, context_settings={"help_option_names": ["-h", "--help"]})
@store_option
@click.option("--verify-data", is_flag=True, help="Also read every byte that is kept.")
@click.option("--repair", is_flag=True, help="First mend what another copy in the store can.")
@click.option("--rebuild-index", is_flag=True, help="First make the chunk index anew from packs.")
@click.option("--json", "as_json", is_flag=True, help="Print findings as JSON, one a line.")
@version_option(NAME)
def command(
    store: str | None, verify_data: bool, repair: bool, rebuild_index: bool, as_json: bool
) -> int:
    """Check every invariant of a store, also while it is mounted.

    Prints what is wrong and which files and snapshots that touches. Exit codes: 0 sound, 1 mended
    and sound now, 4 findings, 8 could not check, 16 usage.
    """
    path = store_path(store)
    if not path.is_dir():
        raise NotFoundError(f"no store at {path}: name it with --store")
    mended = _mend(path, repair=repair, rebuild=rebuild_index)
    with _progress() as progress:
        findings = check_directory(path, verify_data=verify_data, progress=progress)
    for finding in findings:
        click.echo(_as_json(finding) if as_json else str(finding))
    wrong = sum(finding.severity != "note" for finding in findings)
    if wrong:
        complain(NAME, f"{path}: {counted(wrong, 'finding')}")
    if wrong:
        return FOUND
    return MENDED if mended else 0


def _mend(path: Path, *, repair: bool, rebuild: bool) -> bool:
    mended = False
    if repair:
        for step in repair_store(path):
            complain(NAME, f"mended {step.file}: {step.what}")
            mended = True
    if rebuild:
        packs = rebuild_chunk_index(path)
        complain(NAME, f"index rebuilt from {packs} packs")
        mended = True
    return mended


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
