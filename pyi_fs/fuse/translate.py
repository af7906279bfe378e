"""Our errors become an errno here and nowhere else; whatever goes wrong, the mount lives on.

- `RequestError`: its errno; nothing has changed and nothing is logged.
- `StoreError`, `MalformedRequestError`: logged once for each message, `EIO`.
- `OSError`: its errno if the caller can act on it (disk full, quota, read-only), else as
  `StoreError`.
- Anything else is our mistake: logged with its traceback, `EIO`. Computing a tree is pure, so the
  state is as it was.
"""

import errno
import logging
from contextlib import suppress

from pyi_fs.errors import MalformedRequestError, RequestError, StoreError

log = logging.getLogger(__name__)

# What a caller can do something about; the rest of what a disk says is ours to report.
_FOR_THE_CALLER = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
)
# Messages remembered so that a file of ten thousand bad blocks does not fill the disk with its log.
_MESSAGES_MAX = 1000


class Translator:
    """Says what the kernel is told about an error; one for each mount."""

    def __init__(self) -> None:
        """Begins with nothing logged."""
        self._logged: set[str] = set()

    def errno_of(self, error: Exception, request: str) -> int:
        """Returns the errno for an error that a request met, and logs what is not the caller's.

        The error lets go of its traceback: the frames there hold the data of the request, in a
        cycle if one of them holds the error.
        """
        number = self._errno_of(error, request)
        _let_go(error)
        return number

    def _errno_of(self, error: Exception, request: str) -> int:
        if isinstance(error, RequestError):
            return error.errno
        if isinstance(error, OSError):
            number = error.errno or errno.EIO
            if number in _FOR_THE_CALLER:
                return number
            self._log_once(f"{request}: {error}")
            return errno.EIO
        if isinstance(error, (StoreError, MalformedRequestError)):
            self._log_once(f"{request}: {error}")
            return error.errno
        report(f"BUG: {request} failed", error)
        return errno.EIO

    def _log_once(self, message: str) -> None:
        if message in self._logged:
            return
        if len(self._logged) < _MESSAGES_MAX:
            self._logged.add(message)
        report(message)


def report(message: str, error: BaseException | None = None) -> None:
    """Logs an error, with its traceback if it is our mistake.

    Never raises: a log writer that fails (a full disk, a bug in it) must not end a mount.
    """
    with suppress(Exception):
        log.error("%s", message, exc_info=error)


def _let_go(error: BaseException) -> None:
    """Takes the tracebacks of an error, and of those it came of, away."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            waiting += [other for other in (one.__context__, one.__cause__) if other is not None]
