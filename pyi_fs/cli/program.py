"""What all programs share: how they end, where the store is, what a complaint looks like.

A refusal is one line on standard error, `PROGRAM: what is wrong and what to do`. Exit codes: 0
done, 1 refused or failed, 2 usage (`pyi-fsck` has those of fsck(8)). Ctrl-C is one line at most,
and the end by that signal. A traceback is a bug of ours.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

import pyi_fs
from pyi_fs.errors import NotFoundError, PyiError

FAILED = 1
USAGE = 2
INTERRUPTED = 128 + signal.SIGINT

# C0 but the newline, DEL, C1.
_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\n")
}

_F = TypeVar("_F", bound=Callable[..., Any])


def run(command: click.Command, *, failed: int = FAILED, usage: int = USAGE) -> NoReturn:
    """Runs a program with the arguments of this process and exits.

    Takes SIGINT over from `entry.begin` while it works: what was begun is cleared away first.
    """
    name = command.name or "pyi-fs"
    _open_closed_streams()
    code = INTERRUPTED
    # A second Ctrl-C, while the first is told.
    with contextlib.suppress(KeyboardInterrupt):
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = exit_code(command, None, name, failed=failed, usage=usage)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Python's own end is no place for a traceback either.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if code == INTERRUPTED:
        _end_by_interrupt()
    sys.exit(code)


def _end_by_interrupt() -> None:
    """Ends as who does not catch SIGINT: only then does a shell end the loop we run in.

    A shell shows 130. Source: https://www.cons.org/cracauer/sigint.html
    """
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    signal.raise_signal(signal.SIGINT)


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
    """Runs a program; returns its exit code, `INTERRUPTED` after Ctrl-C.

    Complaints go to standard error, one line each.
    """
    try:
        code = command.main(arguments, prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else name
        complain(name, f"{error.format_message()} (see `{path} --help`)")
        return usage
    except click.ClickException as error:
        complain(name, error.format_message())
        return failed
    except click.Abort as error:
        complain(name, "interrupted")
        return INTERRUPTED if _was_interrupted(error) else failed
    except BrokenPipeError:
        # Who read our output has seen enough; Python must not complain when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return failed
    except (PyiError, OSError) as error:
        complain(name, sentence(error))
        return failed
    return code if isinstance(code, int) else 0


def _was_interrupted(error: click.Abort) -> bool:
    """Returns whether that is click's word for Ctrl-C, not for the end of its input."""
    return isinstance(error.__context__, KeyboardInterrupt)


def complain(name: str, text: str) -> None:
    """Prints one line on standard error; what is no text, or moves the cursor, is escaped."""
    line = visible(f"{name}: {' '.join(text.split())}")
    click.echo(line.encode(errors="backslashreplace").decode(), err=True)


def visible(text: str) -> str:
    """Returns a text without what a terminal obeys: names and messages may be an agent's."""
    return text.translate(_CONTROLS)


def is_confirmed(question: str) -> bool:
    """Returns whether somebody at the terminal says yes; no where nobody is."""
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        if _was_interrupted(error):
            raise KeyboardInterrupt from None
        click.echo(err=True)
        return False


def sentence(error: BaseException) -> str:
    """Returns an error for people, in one line and without an errno's number."""
    if isinstance(error, OSError) and error.strerror:
        files = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*files[:1], error.strerror])
    return " ".join(str(error).split()) or type(error).__name__


def counted(count: int, noun: str) -> str:
    """Returns a number of things in words: `1 file`, `2,000 directories`, `2 branches`."""
    plural = noun + ("es" if noun.endswith("ch") else "s")
    if noun.endswith("y"):
        plural = f"{noun[:-1]}ies"
    return f"{count:,} {noun if count == 1 else plural}"


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


def own_store_option(function: _F) -> _F:
    """Gives a subcommand the option `--store` of its group, which then may stand on either side.

    `context.obj` is the store to use.
    """
    return click.option(
        "--store",
        metavar="DIR",
        type=click.Path(file_okay=False, readable=False),
        expose_value=False,
        callback=_choose_store,
        help="The same as before the subcommand.",
    )(function)


def _choose_store(context: click.Context, _: click.Parameter, store: str | None) -> None:
    if store is not None:
        context.obj = store_path(store)


def version_option(name: str) -> Callable[[_F], _F]:
    """Gives a program the option `--version`."""
    return click.version_option(pyi_fs.__version__, prog_name=name, message="%(prog)s %(version)s")
