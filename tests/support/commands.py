"""Running the commands: in this process for their text, in their own for what they do to it."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import click

from pyi_fs.cli.program import exit_code

ROOT = Path(__file__).resolve().parents[2]
# Longer than any machine needs; a hang must end the test, not the run.
PATIENCE_SECONDS = 60


class Done(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str


def call(command: click.Command, *arguments: object, name: str = "prog") -> Done:
    """Runs a command in this process."""
    output, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        code = exit_code(command, [str(argument) for argument in arguments], name)
    return Done(code, output.getvalue(), errors.getvalue())


def program(*arguments: object) -> list[str]:
    """Returns the command line of `python -m pyi_fs ...`."""
    return [sys.executable, "-m", "pyi_fs", *map(str, arguments)]


def environment() -> dict[str, str]:
    """Returns an environment in which any Python finds the checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*arguments: object, **options: object) -> Done:
    """Runs `python -m pyi_fs ...` in a process of its own."""
    return run_command(program(*arguments), **options)


def run_command(command: list[str], **options: object) -> Done:
    """Runs any command; `options` are those of `subprocess.run`."""
    settings = {"cwd": ROOT, "env": environment(), "stdin": subprocess.DEVNULL, **options}
    done = subprocess.run(  # type: ignore[call-overload]
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, **settings
    )
    return Done(done.returncode, done.stdout, done.stderr)
