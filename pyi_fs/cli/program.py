"""What all programs share: how they end, where the store is, what a complaint looks like.

A refusal is one line on standard error, `PROGRAM: what is wrong and what to do`. Exit codes: 0
done, 1 refused or failed, 2 usage (`pyi-fsck` has those of fsck(8)). A traceback is a bug of ours.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

import pyi_fs
from pyi_fs.errors import NotFoundError, PyiError

FAILED = 1
USAGE = 2

_F = TypeVar("_F", bound=Callable[..., Any])


def run(command: click.Command, *, failed: int = FAILED, usage: int = USAGE) -> NoReturn:
    """Runs a program with the arguments of this process and exits."""
    name = command.name or "pyi-fs"
    _open_closed_streams()
    sys.exit(exit_code(command, None, name, failed=failed, usage=usage))


def _open_closed_streams() -> None:
    """Gives standard streams that the caller closed to the null device.

    Else files of the store get their descriptors, and what anybody prints goes into those.
    """
    if all((sys.stdin, sys.stdout, sys.stderr)):
        return
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(null, True)
    os.close(null)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def exit_code(
    command: click.Command,
    arguments: list[str] | None,
    name: str,
    *,
    failed: int = FAILED,
    usage: int = USAGE,
) -> int:
    """Runs a program; returns its exit code. Complaints go to standard error, one line each."""
    try:
        code = command.main(arguments, prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        complain(name, f"{error.format_message()} (see `{name} --help`)")
        return usage
    except click.ClickException as error:
        complain(name, error.format_message())
        return failed
    except (click.Abort, KeyboardInterrupt):
        complain(name, "interrupted")
        return failed
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failed
    except (PyiError, OSError) as error:
        complain(name, sentence(error))
        return failed
    return code if isinstance(code, int) else 0


def complain(name: str, text: str) -> None:
    """Prints one line on standard error; bytes of a name that are no text are escaped."""
    line = f"{name}: {' '.join(text.split())}"
    click.echo(line.encode(errors="backslashreplace").decode(), err=True)


def is_confirmed(question: str) -> bool:
    """Returns whether somebody at the terminal says yes; no where nobody is."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        # Nobody is there to answer, or whoever was pressed Ctrl-C.
        click.echo(err=True)
        return False


def sentence(error: BaseException) -> str:
    """Returns an error for people, in one line and without an errno's number."""
    if isinstance(error, OSError) and error.strerror:
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*files[:1], error.strerror])
    return " ".join(str(error).split()) or type(error).__name__


def store_path(option: str | None) -> Path:
    """Returns the store to use: the option, else `$PYI_STORE`, else `~/.local/share/pyi`."""
    text = option or os.environ.get("PYI_STORE")
    if text:
        return Path(os.path.abspath(text))
    try:
        home = Path.home()
    except RuntimeError:
        # No $HOME, and no line in passwd(5): in containers that run under a bare number.
        raise NotFoundError(
            "this user has no home directory for a store: name one with `--store DIR` or $PYI_STORE"
        ) from None
    return Path(os.path.abspath(home / ".local" / "share" / "pyi"))


def store_option(function: _F) -> _F:
    """Gives a program the option `--store`."""
    return click.option(
        "--store",
        "store",
        metavar="DIR",
        type=click.Path(file_okay=False, readable=False),
        help="The store (default: $PYI_STORE, else ~/.local/share/pyi).",
    )(function)


def version_option(name: str) -> Callable[[_F], _F]:
    """Gives a program the option `--version`."""
    return click.version_option(pyi_fs.__version__, prog_name=name, message="%(prog)s %(version)s")
