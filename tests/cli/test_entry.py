"""Ctrl-C at any moment of a command's life: no traceback, and the end by that signal."""

import signal
import sys
import tomllib

import pytest

from tests.support.commands import ROOT, Done, run_command

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
# Ctrl-C when a module is looked for: click is the first that every command loads.
AT_IMPORT = """
class AtImport:
    def find_spec(name, path, target=None):
        if name == "click":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, AtImport)
"""
# In the midst of the work.
AT_WORK = """
import click
def interrupt(*arguments, **options):
    signal.raise_signal(signal.SIGINT)
click.Command.invoke = interrupt
"""
AT_END = "import atexit; atexit.register(signal.raise_signal, signal.SIGINT)\n"


def interrupted(script: str, before: str, *arguments: str, command: str = "") -> Done:
    """Runs an installed script in which `before` is done first."""
    module, function = SCRIPTS[script].split(":")
    text = f"import signal, sys\n{before}\nfrom {module} import {function}\n{function}()\n"
    start = [sys.executable, "-c", text, *arguments]
    return run_command(["sh", "-c", f'{command} exec "$@"', "sh", *start])


def works(script: str) -> list[str]:
    """Returns arguments with which a command begins its work."""
    return {"pyi-gc": [], "pyi-fsck": [], "pyi-store": ["ls"]}.get(script, ["a", "b"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_while_the_program_is_loaded_ends_it_silently(script):
    assert interrupted(script, AT_IMPORT) == Done(-signal.SIGINT, "", "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_while_it_works_is_one_line(script):
    done = interrupted(script, AT_WORK, *works(script))
    assert (done.code, done.output) == (-signal.SIGINT, "")
    assert done.errors.lstrip("\n") == f"{script}: interrupted\n"


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_when_it_is_done_is_no_traceback(script):
    done = interrupted(script, AT_END, "--version")
    assert (done.code, done.errors) == (-signal.SIGINT, "")
    assert done.output.startswith(script)


def test_a_signal_that_is_ignored_stays_ignored():
    done = interrupted("pyi-store", AT_IMPORT + AT_END, "--version", command="trap '' INT;")
    assert (done.code, done.errors) == (0, "")
