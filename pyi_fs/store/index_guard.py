"""Whose turn it is at the connection to the index, its transactions, and what its errors mean."""

import errno
import os
import sqlite3
import threading
from contextlib import suppress
from types import TracebackType

from pyi_fs.errors import BusyError, CorruptError
from pyi_fs.store import layout

BUSY_TIMEOUT_SECONDS = 30.0
"""How long a commit waits for those of other processes, each of which takes a millisecond."""


class Guard:
    """Lets one thread at a time at the connection, of the process that made it; maps errors."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        assert os.getpid() == self._process, "BUG: the index was carried across a process fork"
        self._lock.acquire()

    def try_enter(self) -> bool:
        """Enters if nobody is there; then `leave` is owed."""
        assert os.getpid() == self._process, "BUG: the index was carried across a process fork"
        return self._lock.acquire(blocking=False)

    def leave(self) -> None:
        """Leaves after `try_enter`."""
        self._lock.release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
        if isinstance(error, sqlite3.Error):
            raise _translated(error) from error


class Transaction:
    """A write transaction; with `durable` its commit waits until the write-ahead log is on disk."""

    def __init__(self, connection: sqlite3.Connection, *, durable: bool = False) -> None:
        self._connection = connection
        self._durable = durable

    def __enter__(self) -> None:
        if self._durable:
            self._connection.execute("PRAGMA synchronous = FULL")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error:
            self._connection.execute("PRAGMA synchronous = NORMAL")
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._connection.execute("COMMIT")
        finally:
            # Also after a COMMIT that failed, which leaves the transaction open.
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            if self._durable:
                self._connection.execute("PRAGMA synchronous = NORMAL")


# The last: a table or a column is not there.
_OTHER_DATABASE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _translated(error: sqlite3.Error) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), layout.INDEX)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BusyError(f"{layout.INDEX}: another process locks it for {BUSY_TIMEOUT_SECONDS:g} s")
    if code in _OTHER_DATABASE:
        return CorruptError(layout.INDEX, 0, "a sound database", str(error))
    return OSError(errno.EIO, str(error), layout.INDEX)
