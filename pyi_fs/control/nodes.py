"""`.pyi/` as the mount sees it: nodes in, nodes, views, handles and errors out.

Every refusal of something that would have had an effect is kept for the user's `error` file.
Nothing here decides what a request means: directories are in `directories.py`, files in `files.py`.
"""

import stat

from pyi_fs import limits
from pyi_fs.control import ahead
from pyi_fs.control.directories import DIRECTORIES, Directory, Entry, Place
from pyi_fs.control.files import FILES, ControlFile, diff_file
from pyi_fs.control.handle import ControlHandle
from pyi_fs.control.node import ControlNode
from pyi_fs.control.refusals import Refusals
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.engine.ahead import Ahead
from pyi_fs.errors import (
    InvalidArgumentError,
    NameTooLongError,
    NotADirectoryInTreeError,
    NotPermittedError,
    ReadOnlyError,
    StaleNodeError,
)
from pyi_fs.ids import ViewNumber

_LINK_MODE = stat.S_IFLNK | 0o777


class Control:
    """The control directories of all views of a mount."""

    def __init__(self, session: Session) -> None:
        """Keeps the session; makes nothing."""
        self._session = session
        self._refusals = Refusals()

    def root(self, view: ViewNumber) -> ControlNode | None:
        """Returns the `.pyi/` of a view; None for a snapshot's view, and for one that is gone."""
        shown = self._session.views.get(view)
        if shown is None or (shown.snapshot is not None and shown is not self._session.root):
            return None
        return ControlNode(view, (), "directory")

    def may_use(self, uid: int) -> bool:
        """Returns whether a user may use the control directory: its owner, and root."""
        return uid in (self._session.control_uid, 0)

    def lookup(self, node: ControlNode, name: bytes) -> Entry | None:
        """Returns what stands at a name of a directory; a `View` is that view's root directory."""
        if len(name) > limits.NAME_BYTES_MAX:
            raise NameTooLongError(
                f"a name has at most {limits.NAME_BYTES_MAX} bytes, this one has {len(name)}"
            )
        directory, place = self._place(node)
        return directory.lookup(place, name.decode()) if name.isascii() else None

    def entries(self, node: ControlNode) -> list[tuple[bytes, Entry]]:
        """Returns what a listing of a directory shows, without `.` and `..`."""
        directory, place = self._place(node)
        return directory.entries(place)

    def mode(self, node: ControlNode) -> int:
        """Returns the mode of a node with its type bits.

        Its owner is the control user, its size 0.
        """
        if node.kind == "link":
            return _LINK_MODE
        if node.kind == "directory":
            return stat.S_IFDIR | DIRECTORIES[node.path].mode
        return stat.S_IFREG | self._file(node, 0).mode

    def readlink(self, node: ControlNode) -> bytes:
        """Returns a symlink's target."""
        if node.kind != "link":
            raise InvalidArgumentError("not a symlink")
        directory, place = self._place(ControlNode(node.view, node.path[:-1], "directory"))
        return directory.readlink(place, node.path[-1].decode()).encode()

    def open(self, node: ControlNode, *, uid: int) -> ControlHandle:
        """Returns a handle for a user on a file; has no effect."""
        return ControlHandle(
            self._file(node, uid), self._session, self._view(node), uid, self._refusals
        )

    def open_command(self, view: View, name: bytes, *, uid: int) -> ControlHandle:
        """Returns a handle for a user on a file of a view's `.pyi`, by its name.

        `StaleNodeError`, `ReadOnlyError` if the view has no `.pyi`.
        """
        with self._refusals.noted(uid):
            if view.is_gone:
                raise StaleNodeError(f"{view.label} is not there any more")
            top = self.root(view.number)
            if top is None:
                raise ReadOnlyError(f"{view.label} is a snapshot and stays as it is")
        return self.open(top.child(name, "file"), uid=uid)

    def refuse_new(self, name: bytes, *, uid: int | None = None) -> None:
        """Refuses a new file, symlink, device or link, and a rename to or from here."""
        with self._refusals.noted(self._user(uid)):
            raise NotPermittedError(f"{_shown(name)} cannot be made in the control directory")

    def refuse(self, error: OSError, *, uid: int | None = None) -> None:
        """Refuses what is about to be made, as `mkdir` does: raises the error."""
        with self._refusals.noted(self._user(uid)):
            raise error

    def mkdir(self, node: ControlNode, name: bytes, *, uid: int | None = None) -> View:
        """Takes a snapshot or makes a branch, and returns its view."""
        with self._refusals.noted(self._user(uid)):
            directory, place = self._place(node)
            return directory.mkdir(place, _text(name))

    def ahead_of_mkdir(self, node: ControlNode) -> Ahead | None:
        """Returns what a thread should copy before `mkdir`; None: nothing."""
        is_made = node.path in ((b"snapshots",), (b"branches",))
        view = self._session.views.get(node.view)
        return ahead.of_present(self._session, view) if is_made and view is not None else None

    def rmdir(self, node: ControlNode, name: bytes, *, uid: int | None = None) -> None:
        """Deletes a snapshot or drops a branch."""
        with self._refusals.noted(self._user(uid)):
            directory, place = self._place(node)
            directory.rmdir(place, _text(name))

    def _view(self, node: ControlNode) -> View:
        view = self._session.views.get(node.view)
        if view is None:
            raise StaleNodeError(f"view {node.view} is not there any more")
        return view

    def _place(self, node: ControlNode) -> tuple[Directory, Place]:
        if node.kind != "directory":
            raise NotADirectoryInTreeError("not a directory of .pyi")
        return DIRECTORIES[node.path], Place(self._session, self._view(node), node)

    def _file(self, node: ControlNode, uid: int) -> ControlFile:
        if node.kind != "file":
            raise InvalidArgumentError("not a file of .pyi")
        if node.path == (b"error",):
            return ControlFile(0o400, lambda session, view: self._refusals.of(uid))  # noqa: ARG005
        if len(node.path) == 1:
            return FILES[node.path[0]]
        return diff_file(node.path[1].decode(), quoted=node.path[0] == b"diff")

    def _user(self, uid: int | None) -> int:
        return self._session.control_uid if uid is None else uid


def _text(name: bytes) -> str:
    """Returns a name to make or remove as text.

    `InvalidArgumentError` for one that no snapshot or branch can have.
    """
    if len(name) > limits.NAME_BYTES_MAX:
        raise NameTooLongError(
            f"a name has at most {limits.NAME_BYTES_MAX} bytes, this one has {len(name)}"
        )
    if not name.isascii():
        raise InvalidArgumentError(f"a name is plain ASCII, not {_shown(name)}")
    return name.decode()


def _shown(name: bytes) -> str:
    return repr(name[: limits.NAME_BYTES_MAX])[1:]
