r"""An open control file: which read or write is a new request, and which continues one.

- A read at offset 0 is a new request; one further on continues the answer that this handle has. So
  `cat`, `dd bs=1`, `head -c` and one `pread` on a descriptor kept open all see one answer for each
  request.
- A write at offset 0 is a command. After one that was done the next read gives its answer, after
  one that was refused its sentence; the read after that is a new request again.
- A write at another offset is refused: a command is one write. (bash writes what `echo` and
  `printf` print line by line, so a message takes `cat <<END` there; dash and every program's own
  buffer write it at once.)
"""

from pyi_fs.control.files import ControlFile
from pyi_fs.control.refusals import Refusals, sentence
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.errors import AccessDeniedError, InvalidArgumentError, PyiError, StaleNodeError

_NOT_AT_ZERO = (
    "a command is one write at offset 0 (bash writes line by line: for more lines use `cat <<END`)"
)


class ControlHandle:
    """One descriptor of a user on a control file of a view."""

    def __init__(
        self, file: ControlFile, session: Session, view: View, uid: int, refusals: Refusals
    ) -> None:
        """Asks for nothing yet: opening has no effect."""
        self._file = file
        self._session = session
        self._view = view
        self._uid = uid
        self._refusals = refusals
        self._answer: bytes | None = None
        self._next: bytes = b""

    def read(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes of the answer from `offset`; a new answer if that is 0.

        Empty at its end.
        """
        if size <= 0:
            return b""
        if offset == 0:
            self._answer, self._next = self._next or None, b""
            if self._answer is None:
                self._answer = self._asked()
        elif self._answer is None:
            self._answer = b"" if self._file.acts_on_read else self._asked()
        return self._answer[offset : offset + size]

    def write(self, offset: int, data: bytes) -> int:
        """Does the command and returns the length of `data`; nothing has changed if it raises."""
        if not data:
            return 0
        try:
            with self._refusals.noted(self._uid):
                self._next = self._done(offset, data)
        except (PyiError, OSError) as error:
            self._next = sentence(error)
            raise
        return len(data)

    @property
    def needs_sync(self) -> bool:
        """Returns whether `fsync` has something to make durable: the changes of a live branch."""
        return self._file.write is not None and self._view.branch is not None

    def sync_blocking(self) -> None:
        """Returns when everything up to now is durable. For a thread."""
        branch = self._view.branch
        if branch is not None:
            self._session.workspace.sync(branch)

    def _asked(self) -> bytes:
        with self._refusals.noted(self._uid):
            self._check_view()
            return self._file.read(self._session, self._view)

    def _done(self, offset: int, data: bytes) -> bytes:
        if self._file.write is None:
            raise AccessDeniedError("this file only answers: nothing can be written to it")
        if offset != 0:
            raise InvalidArgumentError(_NOT_AT_ZERO)
        self._check_view()
        self._session.check_writable()
        return self._file.write(self._session, self._view, data)

    def _check_view(self) -> None:
        if self._view.is_gone:
            raise StaleNodeError(f"{self._view.label} is not there any more")
