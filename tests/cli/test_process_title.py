"""The command line that ps(1) shows."""

import sys

import pytest

from tests.support.commands import ROOT, run_command

SHOW = """
import os, sys
from pathlib import Path
from pyi_fs.cli.process_title import set_command_line
set_command_line(["pyi-mount", "ws", sys.argv[1]])
line = Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode()
print(line, os.popen("echo $KEPT").read().strip(), os.environ["KEPT"], sep="|")
"""


@pytest.mark.parametrize("length", [1, 100, 1000])
def test_words_are_shown_and_the_environment_stays(length):
    """Shorter than the old line, and longer, into the place of the environment."""
    place = "/" + "m" * length
    words = ["env", "-i", f"KEPT={'k' * 1500}", f"PYTHONPATH={ROOT}", sys.executable, "-c", SHOW]
    done = run_command([*words, place])
    assert done.output == f"pyi-mount ws {place}|{'k' * 1500}|{'k' * 1500}\n", done.errors


def test_what_does_not_fit_is_cut():
    place = "/" + "m" * 100_000
    code = SHOW.replace("sys.argv[1]", repr(place))
    words = ["env", "-i", "KEPT=kept", f"PYTHONPATH={ROOT}", sys.executable, "-c"]
    script = "import sys; exec(sys.stdin.read())"
    done = run_command([*words, script], stdin=None, input=code)
    line, *kept = done.output.rstrip("\n").split("|")
    assert f"pyi-mount ws {place}".startswith(line), done.errors
    assert len(line) > len("pyi-mount ws /m")
    assert kept == ["kept", "kept"]
