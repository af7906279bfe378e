"""Whose turn it is at the index."""

import errno
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyi_fs.errors import BusyError, CorruptError
from pyi_fs.store.index_guard import Guard


def test_one_thread_at_a_time_is_let_in() -> None:
    guard = Guard()
    with ThreadPoolExecutor(1) as pool:
        with guard:
            assert not pool.submit(guard.try_enter).result()
        assert pool.submit(guard.try_enter).result()
        assert not guard.try_enter()
        pool.submit(guard.leave).result()
        assert guard.try_enter()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (sqlite3.SQLITE_FULL, OSError),
        (sqlite3.SQLITE_BUSY, BusyError),
        (sqlite3.SQLITE_NOTADB, CorruptError),
        (sqlite3.SQLITE_IOERR, OSError),
    ],
)
def test_errors_are_ours(code: int, error: type[Exception]) -> None:
    failed = sqlite3.OperationalError("it failed")
    failed.sqlite_errorcode = code
    with pytest.raises(error) as caught, Guard():
        raise failed
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        assert isinstance(caught.value, OSError)
        assert caught.value.errno == {
            sqlite3.SQLITE_FULL: errno.ENOSPC,
            sqlite3.SQLITE_IOERR: errno.EIO,
        }.get(code)
