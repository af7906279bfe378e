"""`git fast-import` as a context: commits go in, the branch moves at the end or not at all.

Invariants:
- Without `finish` the branch stays where it is: the stream ends with `done`, and git refuses one
  that does not.
- Memory is bounded: contents go through in pieces, and git streams what is larger than
  `_STREAMED_BYTES_MIN`.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

from pyi_fs.errors import RequestError
from pyi_fs.git.repository import Repository, complaint

EXECUTABLE = b"100755"
REGULAR = b"100644"
SYMLINK = b"120000"
_DIRECTORY = b"040000"
# fast-import holds a smaller blob in memory, to find deltas; a larger one goes straight into the
# pack.
_STREAMED_BYTES_MIN = 16 << 20
_PIPE_BYTES = 1 << 16


class FastImport:
    """One run of `git fast-import` that adds commits to one branch."""

    def __init__(self, repository: Repository, ref: str, parent: str | None) -> None:
        """Starts git; the first commit gets `parent` (None: no parent)."""
        self._repository = repository
        self._ref = os.fsencode(ref)
        self._parent = os.fsencode(parent) if parent else None
        self._count = 0
        self._is_finished = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        answers, answers_end = os.pipe()
        try:
            arguments = ["fast-import", "--quiet", "--done", f"--cat-blob-fd={answers_end}"]
            arguments += ["--date-format=raw", f"--big-file-threshold={_STREAMED_BYTES_MIN}"]
            self._process = subprocess.Popen(
                [repository.git.program, *repository.command(*arguments)],
                env=repository.git.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                bufsize=_PIPE_BYTES,
                pass_fds=[answers_end],
            )
        except BaseException:
            os.close(answers)
            self._errors.close()
            raise
        finally:
            os.close(answers_end)
        assert self._process.stdin is not None
        self._input: IO[bytes] = self._process.stdin
        self._answers = os.fdopen(answers, "rb")

    def __enter__(self) -> "FastImport":
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends git; without `finish`, the branch stays where it was."""
        with suppress(BrokenPipeError):
            self._input.close()
        self._process.wait()
        self._answers.close()
        self._errors.close()
        if not self._is_finished:
            # The report of the stream that we broke off is of no use to anybody.
            report = Path(self._repository.directory) / f"fast_import_crash_{self._process.pid}"
            report.unlink(missing_ok=True)

    def commit(self, person: tuple[str, str], time: int, message: str) -> None:
        """Begins a commit on top of the last; its changes follow. `time` is in seconds."""
        if self._count:
            self._parent = b":%d" % self._count
        self._count += 1
        name, email = (os.fsencode(text) for text in person)
        who = b"%s <%s> %d +0000" % (name, email, time)
        text = message.encode(errors="backslashreplace")
        self._send(
            b"commit %s\nmark :%d\nauthor %s\ncommitter %s\ndata %d\n%s\n"
            % (self._ref, self._count, who, who, len(text), text)
        )
        if self._parent is not None:
            self._send(b"from %s\n" % self._parent)

    def delete_all(self) -> None:
        """Empties the tree of the current commit."""
        self._send(b"deleteall\n")

    def delete(self, path: bytes) -> None:
        """Removes a path and all below it from the current commit; not there: no error."""
        self._send(b"D %s\n" % quoted(path))

    def put(self, path: bytes, mode: bytes, size: int, pieces: Iterable[bytes]) -> None:
        """Writes a file of the current commit; the pieces have `size` bytes together."""
        self._send(b"M %s inline %s\ndata %d\n" % (mode, quoted(path), size))
        left = size
        for piece in pieces:
            self._send(piece)
            left -= len(piece)
        if left:
            raise RequestError(f"{quoted(path).decode()} is {left} bytes shorter than its size")
        self._send(b"\n")

    def put_again(self, path: bytes, mode: bytes | None, parent_path: bytes) -> bool:
        """Puts what the parent commit has at another path; returns False if that is nothing.

        `mode` None: a directory is wanted, else a file.
        """
        if self._parent is None:
            return False
        self._send(b"ls %s %s\n" % (self._parent, quoted(parent_path)))
        found = self._answer().split(b" ", 2)
        is_wanted = found[1:2] == [b"tree" if mode is None else b"blob"]
        if len(found) < 3 or not is_wanted:
            return False
        id_ = found[2].partition(b"\t")[0]
        self._send(b"M %s %s %s\n" % (_DIRECTORY if mode is None else mode, id_, quoted(path)))
        return True

    def finish(self) -> None:
        """Ends the stream: on return all is there and the branch has moved. `RequestError`."""
        self._send(b"done\n")
        try:
            self._input.close()
        except BrokenPipeError:
            raise self._refused() from None
        if self._process.wait():
            raise self._refused()
        self._is_finished = True

    def _send(self, data: bytes) -> None:
        try:
            self._input.write(data)
        except BrokenPipeError:
            raise self._refused() from None

    def _answer(self) -> bytes:
        try:
            self._input.flush()
        except BrokenPipeError:
            raise self._refused() from None
        line = self._answers.readline()
        if not line:
            raise self._refused()
        return line

    def _refused(self) -> RequestError:
        self._process.wait()
        self._errors.seek(0)
        text = complaint(self._errors.read())
        return RequestError(f"git fast-import: {text or f'exit code {self._process.returncode}'}")


def quoted(path: bytes) -> bytes:
    """Returns a path as fast-import reads it: any bytes, in double quotes."""
    path = path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"' + path + b'"'
