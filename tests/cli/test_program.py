"""How every command ends: codes, one line on standard error, no traceback."""

import errno
import os
import subprocess
from pathlib import Path

import click
import pytest

from pyi_fs.cli import program, workspaces
from pyi_fs.errors import BusyError, PyiError
from tests.support.commands import call, environment
from tests.support.commands import program as command_line


def command_that(raises: BaseException | None = None, result: object = None) -> click.Command:
    @click.command()
    @click.option("--size", type=int)
    def command(size: int | None) -> object:
        if raises is not None:
            raise raises
        return result

    return command


def test_done_is_zero_and_a_returned_code_is_used():
    assert call(command_that()).code == 0
    assert call(command_that(result=4)).code == 4


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BusyError("branch 'main' is in use"), "prog: branch 'main' is in use\n"),
        (FileNotFoundError(2, os.strerror(2), "/x"), "prog: /x: No such file or directory\n"),
        (OSError(errno.ENOSPC, "No space left"), "prog: No space left\n"),
        (PyiError("two\nlines"), "prog: two lines\n"),
        (PyiError("a name \x1b[2J\x7f"), "prog: a name \\x1b[2J\\x7f\n"),
        (click.ClickException("bad"), "prog: bad\n"),
        (click.Abort(), "prog: interrupted\n"),
    ],
)
def test_a_refusal_is_one_line_and_code_1(error, line):
    done = call(command_that(error))
    assert (done.code, done.output, done.errors.lstrip("\n")) == (1, "", line)


def test_ctrl_c_is_one_line_and_the_code_that_a_shell_shows():
    done = call(command_that(KeyboardInterrupt()))
    assert (done.code, done.output, done.errors.lstrip("\n")) == (130, "", "prog: interrupted\n")


def test_ctrl_c_at_a_question_is_no_answer(monkeypatch):
    def interrupted(*arguments: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
    with pytest.raises(KeyboardInterrupt):
        program.is_confirmed("Remove?")


def test_wrong_usage_is_code_2_and_names_help():
    done = call(command_that(), "--size", "big")
    assert done.code == 2
    assert done.errors.count("\n") == 1
    assert "prog --help" in done.errors


def test_help_and_the_version_are_no_errors():
    assert call(command_that(), "--help").code == 0
    versioned = program.version_option("prog")(command_that())
    assert call(versioned, "--version").output.startswith("prog ")


def test_numbers_of_things_are_words():
    assert program.counted(1, "file") == "1 file"
    assert program.counted(0, "branch") == "0 branches"
    assert program.counted(2000, "directory") == "2,000 directories"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        call(command_that(ZeroDivisionError()))


def test_the_store_is_the_option_or_the_variable_or_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("PYI_STORE", "/from/variable")
    assert program.store_path("/from/option") == Path("/from/option")
    assert program.store_path(None) == Path("/from/variable")
    monkeypatch.delenv("PYI_STORE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert program.store_path(None) == tmp_path / ".local" / "share" / "pyi"
    monkeypatch.chdir(tmp_path)
    assert program.store_path("here") == tmp_path / "here"


def test_a_reader_that_went_away_is_no_traceback(tmp_path):
    """The pipe is closed before the command prints: what it prints has nowhere to go."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command_line("store", "--help"),
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    os.close(writing)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["mount", "fork", "store", "git-export"])
def test_every_command_has_help_and_a_version(name):
    for option in ("--help", "--version"):
        done = subprocess.run(
            command_line(name, option), capture_output=True, env=environment(), check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout


def test_completion_knows_the_options():
    variables = {
        "_PYI_MOUNT_COMPLETE": "bash_complete",
        "COMP_WORDS": "pyi-mount --unm",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        command_line("mount"),
        capture_output=True,
        env={**environment(), **variables},
        text=True,
        check=False,
    )
    assert done.stdout == "plain,--unmount\n"


def test_an_unknown_command_is_usage():
    done = subprocess.run(
        command_line("fly"), capture_output=True, env=environment(), text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_bug(closed, tmp_path):
    shell = f'"$@" {closed}; code=$?; echo $code > "$CODE"'
    code = tmp_path / "code"
    workspaces.make_empty(tmp_path / "store", "ws")
    done = subprocess.run(
        ["sh", "-c", shell, "sh", *command_line("store", "--store", tmp_path / "store", "ls")],
        env={**environment(), "CODE": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert code.read_text() == "0\n"
