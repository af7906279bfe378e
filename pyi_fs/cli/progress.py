"""How far an import or another long work is, on a terminal; nothing where nobody looks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyi_fs.engine.importer import ImportReport


@contextmanager
def import_progress(source: str) -> Iterator[Callable[[ImportReport], None] | None]:
    """Shows files and bytes on standard error while the body runs; gives it the way to tell."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        # Nothing can be drawn over there: Progress would leave an empty line and say nothing.
        yield None
        return
    columns = (
        SpinnerColumn(),
        TextColumn(f"importing {escape(source)}"),
        TextColumn("{task.fields[files]:,} files"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("import", total=None, files=0)
        yield lambda report: progress.update(task, completed=report.read_bytes, files=report.files)


@contextmanager
def step_progress(what: str) -> Iterator[Callable[[str], None]]:
    """Shows on standard error what is going on while the body runs; gives it the way to tell."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        yield lambda _: None
        return
    with console.status(what) as status:
        yield lambda text: status.update(Text(f"{what}: {text}"))


def size_text(size_bytes: float) -> str:
    """Returns a size for people: `1.5 MB`, in powers of 1,000 like disks."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"
