"""The command: what it prints, how it ends, and that a workspace in use is no obstacle."""

import os
import pty
import stat
import subprocess
import sys

import pytest

from pyi_fs.cli import program
from pyi_fs.cli.git_export import command, shown
from tests.support.git_rig import rig_in

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PYI_STORE", str(tmp_path / "store"))
    with rig_in(tmp_path) as rig:
        yield rig


def run(rig, *arguments):
    """Returns the exit code of the command; the branch stays open, its lock held."""
    return program.exit_code(command, ["ws", str(rig.repo), *arguments], "pyi-git-export")


def test_it_says_what_it_did(rig, capsys):
    rig.write(b"a", b"12345")
    rig.make(b"pipe\xff\n", stat.S_IFIFO | 0o644)
    rig.snapshot("one")
    assert run(rig) == 0
    tip = rig.ids()[0][:12]
    assert capsys.readouterr().out == (
        f"pyi/ws: 1 commit, 1 file written (5 bytes), now at {tip}\n"
        "left out: FIFOs: 1 (pipe\\xff\\n)\n"
    )
    assert run(rig) == 0
    assert capsys.readouterr() == ("pyi/ws: nothing new\n", "")


def test_more_paths_than_are_shown_end_in_dots(rig, capsys):
    for index in range(7):
        rig.make(b"p%d" % index, stat.S_IFIFO | 0o644)
    rig.snapshot("one")
    assert run(rig) == 0
    assert "left out: FIFOs: 7 (p0, p1, p2, p3, p4, ...)\n" in capsys.readouterr().out


def test_every_option_reaches_the_export(rig, capsys):
    rig.write(b".gitignore", b"*.o\n")
    rig.write(b"x.o", b"1")
    rig.snapshot("one")
    rig.write(b"y", b"1")
    rig.snapshot(automatic="because")
    assert run(rig, "--bare", "--git-branch", "a", "--named-only", "--respect-gitignore") == 0
    assert (rig.repo / "HEAD").exists()
    assert set(rig.committed("a")) == {b".gitignore"}
    assert run(rig, "--git-branch", "b", "--onto", "a", "--last", "--automatic") == 0
    assert set(rig.committed("b")) == {b".gitignore", b"x.o", b"y"}
    assert len(rig.ids("b")) == 2
    rig.workspace.make_branch("side", rig.branch)
    assert run(rig, "--branch", "side") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("pyi/ws+side: 1 commit")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--last", "--named-only"], 2, "cannot be used together"),
        (["--nope"], 2, "No such option"),
        (["--branch", "nope"], 1, "no branch 'nope'"),
        (["--onto", "nope"], 1, "no commit 'nope'"),
        (["--git-branch", "a..b"], 1, "no branch name 'a..b'"),
        (["--store", "/nonexistent"], 1, "no store at /nonexistent"),
    ],
)
def test_what_is_wrong_is_one_line(rig, capsys, arguments, code, words):
    rig.write(b"a", b"1")
    rig.snapshot("one")
    assert run(rig, *arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("pyi-git-export: ")
    assert words in err
    assert err.count("\n") == 1
    # Nor is anything left behind.
    assert not rig.repo.exists()


def test_no_such_workspace_makes_no_repository(rig, capsys):
    assert program.exit_code(command, ["nope", str(rig.repo)], "pyi-git-export") == 1
    assert "no workspace 'nope' (" in capsys.readouterr().err
    assert not rig.repo.exists()


def test_help_has_examples(capsys):
    assert program.exit_code(command, ["--help"], "pyi-git-export") == 0
    assert "pyi-git-export demo ~/project --named-only" in capsys.readouterr().out


def test_progress_is_shown_on_a_terminal_only(rig):
    rig.write(b"a", b"1")
    rig.snapshot("one")
    code = "from pyi_fs.cli.git_export import main; main()"
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code, "ws", str(rig.repo)],
        stderr=slave,
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(slave)
    shown_text = os.read(master, 1 << 16)
    os.close(master)
    assert done.returncode == 0
    assert done.stdout.startswith(b"pyi/ws: 1 commit")
    assert b"commit" in shown_text


def test_a_large_file_is_named_while_it_is_read(rig, capsys, monkeypatch):
    """A hole is zeros to git; on no terminal each tenth is a line."""
    monkeypatch.setattr("pyi_fs.limits.LARGE_FILE_BYTES", 20_000_000)
    number = rig.write(b"disk\x1b.img", b"1")
    rig.set(number, size=40_000_000)
    rig.write(b"small", b"1" * 5_000_000)
    rig.snapshot("one")
    assert run(rig) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "pyi-git-export: reading disk\\x1b.img: 0 % of 40.0 MB"
    assert lines[-1].endswith("100 % of 40.0 MB")
    assert len(lines) == 11
    assert all("disk" in line for line in lines)


def test_names_are_shown_as_one_can_read_them():
    assert shown("é\u202e\t".encode()) == "é\\u202e\\t"
    assert shown(b"\xff") == "\\xff"
