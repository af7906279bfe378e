"""The log of a mount: bounded; of a process in the background its standard error.

A process that serves several mounts writes what it logs for each of them to the log of that one.
"""

import logging
import os
from contextvars import ContextVar
from pathlib import Path

from pyi_fs.store.directory_storage import DirectoryStorage

LOG_BYTES_MAX = 1 << 20
"""Twice this is kept: a full log becomes `NAME.1`. Months of a mount, or minutes of a bug."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_STANDARD_ERROR = 2


class LogFile(logging.Handler):
    """Writes records to a file, which is the standard error of this process, too.

    So what is not a record (the interpreter's own last words) is there as well.
    """

    def __init__(self, path: Path, descriptor: int = _STANDARD_ERROR) -> None:
        """Opens the file, mode 0600, and puts it in the place of a descriptor."""
        super().__init__()
        self._descriptor = descriptor
        self.setFormatter(logging.Formatter(FORMAT))
        self._path = path
        DirectoryStorage(path.parent).make_directory("", parents=True)
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Appends a record; a full disk loses it and nothing else."""
        try:
            data = (self.format(record) + "\n").encode(errors="backslashreplace")
            if os.fstat(self._descriptor).st_size + len(data) > LOG_BYTES_MAX:
                os.replace(self._path, f"{self._path}.1")
                self._open()
            os.write(self._descriptor, data)
        except Exception:  # noqa: BLE001 - a record that cannot be written is lost, and nothing else
            return

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        os.fchmod(descriptor, 0o600)  # A umask may take it from its owner, too.
        os.dup2(descriptor, self._descriptor, inheritable=self._descriptor == _STANDARD_ERROR)
        os.close(descriptor)


class BesideLog(LogFile):
    """The log of a mount that is served beside another one: no standard error."""

    def __init__(self, path: Path) -> None:
        """Opens the file, mode 0600."""
        super().__init__(path, os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))

    def close(self) -> None:
        """Closes the file; what is logged from now on is lost."""
        os.close(self._descriptor)
        self._descriptor = -1
        super().close()


_BESIDE: ContextVar[BesideLog | None] = ContextVar("beside", default=None)


class _Router(logging.Handler):
    """Gives the records of a task to the log that it has."""

    def emit(self, record: logging.LogRecord) -> None:
        log = _BESIDE.get()
        if log is not None:
            log.handle(record)


def log_beside(path: Path) -> BesideLog:
    """Has what this task logs, and what it begins, written to a file; returns that, to be closed.

    Everything else is logged as before.
    """
    log = BesideLog(path)
    _BESIDE.set(log)
    root = logging.getLogger()
    if not any(isinstance(handler, _Router) for handler in root.handlers):
        for handler in root.handlers:
            handler.addFilter(_is_of_none)
        root.addHandler(_Router())
    return log


def _is_of_none(_: logging.LogRecord) -> bool:
    return _BESIDE.get() is None


def log_path(store: Path, workspace: str, shown: str) -> Path:
    """Returns where the mount of a branch or snapshot of a workspace logs.

    `ForeignFileError` if a link leads elsewhere.
    """
    return Path(DirectoryStorage(store).host_path(f"logs/{workspace}/{shown}.log"))


def log_directory(store: Path, workspace: str) -> Path:
    """Returns where all mounts of a workspace log; `ForeignFileError` as `log_path`."""
    return Path(DirectoryStorage(store).host_path(f"logs/{workspace}"))
