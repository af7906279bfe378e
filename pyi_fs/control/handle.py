r"""An open control file: which read or write is a new request, and which continues one.

- A read at offset 0 is a new request; one further on continues the answer that this handle has. So
  `cat`, `dd bs=1`, `head -c` and one `pread` on a descriptor kept open all see one answer for each
  request.
- A write at offset 0 is a command. After one that was done the next read gives its answer, after
  one that was refused its sentence; the read after that is a new request again.
- A write that goes on exactly where the last one of this handle ended belongs to the same command,
  if that can have more than one line: bash writes what `printf 'NAME\nMESSAGE\n'` prints line by
  line. Any other write that is not at offset 0 is refused.
"""

from pyi_fs.control import beside
from pyi_fs.control.files import ControlFile
from pyi_fs.control.refusals import Refusals, sentence
from pyi_fs.control.session import Session
from pyi_fs.control.streamed import Streamed
from pyi_fs.control.view import View
from pyi_fs.engine.ahead import Ahead
from pyi_fs.errors import (
    AccessDeniedError,
    InvalidArgumentError,
    PyiError,
    StaleNodeError,
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
        self._answer: bytes | Streamed | None = None
        self._next: bytes = b""
        self._written: bytes = b""
        self.is_continued = False
        """Whether it was open in a process that is dead: what was read of it is not here."""

    def read(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes of the answer from `offset`; a new answer if that is 0.

        Empty at its end.
        """
        if size <= 0:
            return b""
        self._written = b""
        if offset == 0:
            self._answer, self._next = self._next or None, b""
            if self._answer is None:
                self._answer = self._asked()
        elif self._answer is None:
            self._answer = b"" if self._file.acts_on_read else self._asked()
            if self.is_continued and isinstance(self._answer, Streamed):
                self._answer.go_on_at(offset)
        if isinstance(self._answer, Streamed):
            with self._refusals.noted(self._uid):
                return self._answer.part(offset, size)
        return self._answer[offset : offset + size]

    def ask(self, text: bytes, size: int) -> bytes:
        """Returns up to `size` bytes of the answer to a command; of a plain read for no text.

        A file whose reading has no effect gets an empty command, which it refuses.
        """
        if text or not self._file.acts_on_read:
            self.write(0, text or b"\n")
        return self.read(0, size)

    def write(self, offset: int, data: bytes) -> int:
        """Does the command and returns the length of `data`; nothing has changed if it raises."""
        if not data:
            return 0
        try:
            self._do(offset, data)
        except (PyiError, OSError) as error:
            self._refusals.note(self._uid, error)
            self._next, self._written = sentence(error), b""
            raise
        return len(data)

    def refuse(self, error: OSError) -> None:
        """Refuses what is about to be done: raises the error."""
        with self._refusals.noted(self._uid):
            raise error

    def refuse_write(self, error: OSError) -> None:
        """Refuses the command that is about to be written: raises the error, and so `write`."""
        self._next, self._written = sentence(error), b""
        self.refuse(error)

    def ahead(self, offset: int, data: bytes) -> Ahead | None:
        """Returns what a thread should copy before `write` does a command; None: nothing.

        What is going to be refused is refused by `write`.
        """
        if offset or self._file.ahead is None or self._view.is_gone:
            return None
        try:
            return self._file.ahead(self._session, self._view, data)
        except (PyiError, OSError):
            return None

    @property
    def is_ephemeral(self) -> bool:
        """Returns whether `fsync` copies memory to disk: the branch is an ephemeral one."""
        return self._view.branch is not None and self._view.branch.is_ephemeral

    @property
    def blocks(self) -> bool:
        """Returns whether a write waits for a disk: it is for a thread then."""
        return self._file.blocks

    @property
    def wants_data(self) -> bool:
        """Returns whether a command is about what was written: it has to be here then."""
        return self._file.wants_data

    @property
    def view(self) -> View:
        """Returns the view whose file it is."""
        return self._view

    @property
    def uid(self) -> int:
        """Returns whose descriptor it is."""
        return self._uid

    @property
    def acts_on_read(self) -> bool:
        """Returns whether a read at offset 0 has an effect."""
        return self._file.acts_on_read and not self._next

    @property
    def state(self) -> list[bytes | None]:
        """Returns what a descriptor was told and is to be told, for `restore`.

        An answer that is made while it is read is made again.
        """
        answer = None if isinstance(self._answer, Streamed) else self._answer
        return [answer, self._next, self._written]

    def restore(self, state: list[bytes | None]) -> None:
        """Goes on as the descriptor whose state that is."""
        answer, following, written = state
        self._answer, self._next, self._written = answer, following or b"", written or b""

    @property
    def needs_sync(self) -> bool:
        """Returns whether `fsync` has something to make durable: the changes of a live branch."""
        return self._file.write is not None and self._view.branch is not None

    def sync_blocking(self) -> None:
        """Returns when everything up to now is durable. For a thread."""
        branch = self._view.branch
        if branch is not None:
            self._session.workspace.make_durable(branch)

    def _asked(self) -> bytes | Streamed:
        try:
            self._check_view()
            return self._file.read(self._session, self._view)
        except (PyiError, OSError) as error:
            self._refusals.note(self._uid, error)
            raise

    def _do(self, offset: int, data: bytes) -> None:
        if self._file.write is None:
            raise AccessDeniedError("this file only answers: nothing can be written to it")
        self._check_view()
        self._session.check_writable()
        if offset == 0:
            beside.UID.set(self._uid)
            self._next = self._file.write(self._session, self._view, data)
            self._written = data
        elif self._file.go_on is not None and offset == len(self._written):
            self._file.go_on(self._session, self._view, self._written, data)
            self._written += data
        else:
            raise InvalidArgumentError(
                f"a command is written at offset 0 and in one write, not at offset {offset}"
            )

    def _check_view(self) -> None:
        if self._view.is_gone:
            raise StaleNodeError(f"{self._view.label} is not there any more")
