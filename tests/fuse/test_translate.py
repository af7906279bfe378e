"""Which errno the kernel is told, and what is logged."""

import errno
import gc
import weakref

import pytest

from pyi_fs.errors import CorruptSegmentError, DirectoryNotEmptyError, NotFoundError
from pyi_fs.fuse.translate import Translator


@pytest.mark.parametrize(
    ("error", "number", "is_logged"),
    [
        (NotFoundError("x"), errno.ENOENT, False),
        (DirectoryNotEmptyError("x"), errno.ENOTEMPTY, False),
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC, False),
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT, False),
        (OSError(errno.EROFS, "read-only"), errno.EROFS, False),
        (FileNotFoundError(errno.ENOENT, "a segment"), errno.EIO, True),
        (OSError("no number"), errno.EIO, True),
        (CorruptSegmentError("scratch-0", 4096, 1, 2), errno.EIO, True),
        (KeyError("a bug"), errno.EIO, True),
    ],
)
def test_every_kind_of_error_has_its_errno(error, number, is_logged, caplog):
    assert Translator().errno_of(error, "read") == number
    assert bool(caplog.records) == is_logged


def test_a_failing_store_is_logged_once_and_a_bug_with_its_traceback(caplog):
    translator = Translator()
    for _ in range(3):
        translator.errno_of(CorruptSegmentError("scratch-0", 4096, 1, 2), "read")
    assert len(caplog.records) == 1
    translator.errno_of(ValueError("mistake"), "rename")
    assert "BUG: rename failed" in caplog.text
    assert "ValueError: mistake" in caplog.text


class Data:
    """What a request brought."""


def fails(data: Data) -> None:
    """Raises in a frame that holds the data and the error it is in: a cycle."""
    held: tuple[Data, OSError | None] = (data, None)
    try:
        raise OSError(errno.EIO, "broken")
    except OSError as error:
        held = (data, error)
        raise OSError(errno.ENOSPC, str(type(held))) from error


def test_an_error_lets_go_of_the_frames_that_hold_the_data_of_a_request():
    """A full disk and a writer that tries again kept 350 MB of what had not been written."""
    data, number = Data(), 0
    gone = weakref.ref(data)
    gc.disable()
    try:
        try:
            fails(data)
        except OSError as error:
            number = Translator().errno_of(error, "write")
        del data
        assert gone() is None
    finally:
        gc.enable()
    assert number == errno.ENOSPC
