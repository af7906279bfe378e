"""The log of a mount in the background: its standard error, bounded."""

import logging
import os
from pathlib import Path

from pyi_fs.store.directory_storage import DirectoryStorage

LOG_BYTES_MAX = 1 << 20
"""Twice this is kept: a full log becomes `NAME.1`. Months of a mount, or minutes of a bug."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_STANDARD_ERROR = 2


class LogFile(logging.Handler):
    """Makes a file the standard error of this process and writes records to it.

    What is not a record (the interpreter's own last words) is there too.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, mode 0600, and puts it in the place of standard error."""
        super().__init__()
        self.setFormatter(logging.Formatter(FORMAT))
        self._path = path
        DirectoryStorage(path.parent).make_directory("", parents=True)
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Appends a record; a full disk loses it and nothing else."""
        try:
            data = (self.format(record) + "\n").encode(errors="backslashreplace")
            if os.fstat(_STANDARD_ERROR).st_size + len(data) > LOG_BYTES_MAX:
                os.replace(self._path, f"{self._path}.1")
                self._open()
            os.write(_STANDARD_ERROR, data)
        except Exception:  # noqa: BLE001 - a record that cannot be written is lost, and nothing else
            return

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        os.fchmod(descriptor, 0o600)  # A umask may take it from its owner, too.
        os.dup2(descriptor, _STANDARD_ERROR)
        os.close(descriptor)


def log_path(store: Path, workspace: str, shown: str) -> Path:
    """Returns where the mount of a branch or snapshot of a workspace logs.

    `ForeignFileError` if a link leads elsewhere.
    """
    return Path(DirectoryStorage(store).host_path(f"logs/{workspace}/{shown}.log"))


def log_directory(store: Path, workspace: str) -> Path:
    """Returns where all mounts of a workspace log; `ForeignFileError` as `log_path`."""
    return Path(DirectoryStorage(store).host_path(f"logs/{workspace}"))
