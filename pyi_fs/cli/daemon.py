"""Going to the background: the caller waits until the work is ready, or is told why it is not.

The child has a session of its own, none of the caller's standard streams and none of its other
descriptors (a shell that reads our output must not wait for it), and `/` as its directory.

Source: daemon(7), setsid(2).
"""

import logging
import os
import signal
import traceback
from collections.abc import Callable
from typing import NoReturn

from pyi_fs.cli.program import sentence
from pyi_fs.errors import PyiError, StoreError

_READY, _NOTE, _ERROR = b"ready", b"note ", b"error "
# Above the standard streams; the pipe is moved there so that all others can be closed at once.
_FIRST = 3


class Reporter:
    """The child's way to tell the caller."""

    def __init__(self, descriptor: int) -> None:
        """Takes the writing end of a pipe over."""
        self._descriptor: int | None = descriptor

    def note(self, text: str) -> None:
        """Tells something the caller shows to its user; nothing once it is ready."""
        self._write(_NOTE + text.encode(errors="surrogateescape"))

    def ready(self) -> None:
        """Lets the caller return with success."""
        self._write(_READY)
        self._close()

    def failed(self, text: str) -> None:
        """Lets the caller return with an error, unless it has returned."""
        self._write(_ERROR + text.encode(errors="surrogateescape"))
        self._close()

    def _write(self, line: bytes) -> None:
        if self._descriptor is not None:
            try:
                os.write(self._descriptor, line.replace(b"\n", b" ") + b"\n")
            except BrokenPipeError:
                # The caller was interrupted.
                self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def in_background(
    work: Callable[[Reporter], None], *, prepare: Callable[[], None], note: Callable[[str], None]
) -> int:
    """Runs `work` in a process of its own; returns its number once it said that it is ready.

    `prepare` runs first in the child (the log). `note` is given what the child tells meanwhile.
    `StoreError` with the child's sentence if it failed. Ctrl-C ends the child too.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(work, prepare, writing)
    os.close(writing)
    try:
        return _answer(reading, pid, note)
    except StoreError:
        os.waitpid(pid, 0)
        raise
    except BaseException:
        _end(pid)
        raise


def _answer(reading: int, pid: int, note: Callable[[str], None]) -> int:
    with open(reading, "rb") as lines:
        for line in lines:
            text = line.rstrip(b"\n")
            if text == _READY:
                return pid
            if text.startswith(_NOTE):
                note(os.fsdecode(text[len(_NOTE) :]))
            else:
                raise StoreError(os.fsdecode(text.removeprefix(_ERROR)))
    raise StoreError("the mount process ended before it was ready: its log tells why")


def _end(pid: int) -> None:
    """Ends a child that is of no use any more, and waits for it."""
    try:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _child(work: Callable[[Reporter], None], prepare: Callable[[], None], writing: int) -> NoReturn:
    code = 1
    try:
        reporter = Reporter(_detached(writing))
        try:
            prepare()
            work(reporter)
            code = 0
        except (PyiError, OSError) as error:
            reporter.failed(sentence(error))
            logging.getLogger(__name__).error("%s", sentence(error))
        except BaseException as error:
            reporter.failed(f"BUG: {type(error).__name__}: {sentence(error)} (its log has more)")
            raise
    except BaseException:  # noqa: BLE001 - the last line of this process
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        # Nothing of the caller's interpreter (buffers, exit handlers) may run a second time.
        os._exit(code)


def _detached(writing: int) -> int:
    """Leaves the caller's session, streams and descriptors; returns where the pipe is now."""
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if writing != _FIRST:
        os.dup2(writing, _FIRST, inheritable=False)
    # Not up to the limit of descriptors: that may be a thousand million.
    os.closerange(_FIRST + 1, max(map(int, os.listdir("/proc/self/fd"))) + 1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(_FIRST):
        os.dup2(null, stream)
    if null > _FIRST:
        os.close(null)
    return _FIRST
