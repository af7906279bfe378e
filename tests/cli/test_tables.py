"""Tables: lines for programs, drawn for people."""

import os
import pty
import subprocess
import sys

from pyi_fs.cli.tables import show, time_text
from tests.support.commands import ROOT, environment

ROWS = [["a", "1\t2"], ["[red]b", "line\nbreak\\"]]


def test_elsewhere_a_row_is_a_line_of_fields(capsys):
    show("title", ["name", "value"], ROWS)
    assert capsys.readouterr().out == "a\t1\\t2\n[red]b\tline\\nbreak\\\\\n"


def test_on_a_terminal_it_has_a_head_and_text_is_text():
    ours, theirs = pty.openpty()
    rows = [*ROWS, ["\x1b]2;title\x07", "\x9b2J"]]
    script = f"from pyi_fs.cli.tables import show; show('', ['name', 'value'], {rows!r})"
    subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(), stdout=theirs, check=True
    )
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert "name" in shown
    assert "[red]b" in shown
    # A message cannot write the terminal's title.
    assert "\\x1b]2;title\\x07" in shown
    assert not [text for text in ("\x07", "\x9b", "\x1b]") if text in shown]


def test_on_a_narrow_terminal_nothing_is_cut_off():
    ours, theirs = pty.openpty()
    rows = [[f"snapshot-{number}" for number in range(8)] + ["long " * 30]]
    columns = [f"c{number}" for number in range(8)] + ["message"]
    script = f"from pyi_fs.cli.tables import show; show('', {columns!r}, {rows!r})"
    narrow = {**environment(), "COLUMNS": "40"}
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=narrow, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    assert shown.split("\n")[1].split()[:8] == rows[0][:8]
    assert shown.count("long") == 30


def test_a_moment_is_local_to_the_second(monkeypatch):
    assert len(time_text(1_700_000_000_999_999_999)) == len("2023-11-14 22:13:20")
