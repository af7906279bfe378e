"""Progress is for terminals; sizes are for people."""

import os
import pty
import subprocess
import sys

from pyi_fs.cli.progress import import_progress, size_text
from tests.support.commands import ROOT, environment

SCRIPT = """
import sys
from pyi_fs.cli.progress import import_progress
from pyi_fs.engine.importer import ImportReport
with import_progress("[dir]") as progress:
    if progress:
        progress(ImportReport(files=1234, read_bytes=5_000_000))
print(end=".", file=sys.stderr)
"""


def test_where_nobody_looks_nothing_is_shown(capsys):
    with import_progress("x") as progress:
        assert progress is None
    assert capsys.readouterr().err == ""


def shown_on(kind: str) -> str:
    """Returns what a terminal of this kind (`$TERM`) gets from an import that reports once."""
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**environment(), "TERM": kind},
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    return shown


def test_a_terminal_shows_files_and_bytes():
    shown = shown_on("xterm")
    assert "importing [dir]" in shown
    assert "1,234 files" in shown
    assert "5.0" in shown


def test_a_terminal_that_cannot_draw_gets_nothing():
    assert shown_on("dumb") == "."


def test_sizes_are_in_powers_of_a_thousand():
    sizes = (0, 999, 1000, 1_500_000, 2_000_000_000, 3_000_000_000_000)
    assert [size_text(size) for size in sizes] == [
        "0 B", "999 B", "1.0 kB", "1.5 MB", "2.0 GB", "3.0 TB",
    ]  # fmt: skip
