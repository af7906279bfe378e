"""The directories of `.pyi/`: which names each has, and what `mkdir` and `rmdir` do in it.

Invariants:
- A directory has one path per mount. Real views stand only in the `.pyi/` of the mount's root: in
  that of a branch `snapshots` is a symlink to the one there, and so is each name in `branches`; the
  root's own branch is a symlink everywhere.
- A named snapshot stands at its name, and its id is a symlink to that (a kernel does not let
  `rmdir` remove a symlink, and `mkdir NAME; rmdir NAME` is what people do). A snapshot without a
  name stands at its id.
- Looking up, listing and `stat` change nothing; but a branch that is looked up below `branches/` is
  locked (a listing locks none).
- What a name is can change at any time (`head`, a new name, another process): these entries are
  not to be cached.
"""

from typing import NamedTuple, Protocol

from pyi_fs.control.files import FILES, diff_range
from pyi_fs.control.node import ControlNode
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.errors import NotFoundError, NotPermittedError, RequestError
from pyi_fs.ids import BranchName
from pyi_fs.model.refs import Snapshot, check_ref_name

Entry = ControlNode | View
Listing = list[tuple[bytes, Entry]]
FILE_NAMES = (*FILES, b"error")
DIRECTORY_NAMES = (b"branches", b"diff", b"diff0", b"snapshots")


class Place(NamedTuple):
    """A directory of one view's `.pyi/`."""

    session: Session
    view: View
    node: ControlNode

    @property
    def is_root(self) -> bool:
        """Returns whether it is in the `.pyi/` of the mount's root."""
        return self.view is self.session.root


class Directory(Protocol):
    """One kind of directory; `text` is a name of ASCII."""

    mode: int

    def lookup(self, at: Place, text: str) -> Entry | None:
        """Returns what stands at a name, or None."""

    def entries(self, at: Place) -> Listing:
        """Returns what a listing shows."""

    def readlink(self, at: Place, text: str) -> str:
        """Returns the target of a symlink in it; `NotFoundError` if the name is none (any more)."""

    def mkdir(self, at: Place, text: str) -> View:
        """Makes what the name says and returns its view."""

    def rmdir(self, at: Place, text: str) -> None:
        """Removes what the name says."""


class Fixed:
    """A directory in which nothing is listed, made or removed."""

    mode = 0o500

    def lookup(self, at: Place, text: str) -> Entry | None:  # noqa: ARG002
        """Returns None."""
        return None

    def entries(self, at: Place) -> Listing:  # noqa: ARG002
        """Returns an empty listing."""
        return []

    def readlink(self, at: Place, text: str) -> str:  # noqa: ARG002
        """Refuses: there is no symlink."""
        raise NotFoundError(f"no symlink '{text}'")

    def mkdir(self, at: Place, text: str) -> View:  # noqa: ARG002
        """Refuses."""
        raise NotPermittedError(f"'{text}' cannot be made here: only in snapshots/ and branches/")

    def rmdir(self, at: Place, text: str) -> None:  # noqa: ARG002
        """Refuses."""
        raise NotPermittedError(f"'{text}' of the control directory cannot be removed")


class Top(Fixed):
    """`.pyi/` itself."""

    mode = 0o700

    def lookup(self, at: Place, text: str) -> Entry | None:
        """Returns the file or directory of that name."""
        name = text.encode()
        if name in FILE_NAMES:
            return at.node.child(name, "file")
        if name not in DIRECTORY_NAMES:
            return None
        is_link = name == b"snapshots" and not at.is_root
        return at.node.child(name, "link" if is_link else "directory")

    def entries(self, at: Place) -> Listing:
        """Returns all files and directories."""
        names = sorted((*FILE_NAMES, *DIRECTORY_NAMES))
        found = [(name, self.lookup(at, name.decode())) for name in names]
        return [(name, entry) for name, entry in found if entry is not None]

    def readlink(self, at: Place, text: str) -> str:
        """Returns where the snapshots are, seen from `.pyi/branches/NAME/.pyi`."""
        if text != "snapshots" or at.is_root:
            return super().readlink(at, text)
        return "../../../snapshots"


class Diffs(Fixed):
    """`diff/` and `diff0/`: any `A..B` of two snapshots can be opened, none is listed."""

    def lookup(self, at: Place, text: str) -> Entry | None:
        """Returns the file if both ends exist."""
        try:
            diff_range(at.session, at.view, text)
        except NotFoundError:
            return None
        return at.node.child(text.encode(), "file")


class Branches(Fixed):
    """`branches/`."""

    mode = 0o700

    def lookup(self, at: Place, text: str) -> Entry | None:
        """Returns a branch's view, whose branch is locked if it can be, or a symlink to one."""
        name = BranchName(text)
        try:
            if at.session.listed_view(name) is None or not at.is_root:
                return at.node.child(text.encode(), "link")
            return at.session.view_of_branch(name)
        except NotFoundError:
            return None

    def entries(self, at: Place) -> Listing:
        """Returns every branch; locks none."""
        found: Listing = []
        for name in at.session.workspace.refresh().branch_names():
            view = at.session.listed_view(name) if at.is_root else None
            found.append((name.encode(), view or at.node.child(name.encode(), "link")))
        return found

    def readlink(self, at: Place, text: str) -> str:
        """Returns the way to this view's own branch, to the root's, or to a sibling."""
        at.session.workspace.refresh().branch(text)
        if text == at.view.name:
            return "../.."
        if at.is_root:
            raise NotFoundError(f"'{text}' is a directory, not a symlink")
        return "../../../../.." if text == at.session.root.name else f"../../../{text}"

    def mkdir(self, at: Place, text: str) -> View:
        """Makes a branch that starts where the root is."""
        at.session.live_branch(at.view)
        if not at.is_root:
            raise NotPermittedError(
                f"only symlinks stand here: write '{text}' to the file `branch` of this .pyi, "
                "or make it in the .pyi/branches of the mount's root"
            )
        at.session.make_branch(text, at.view, None, ephemeral=False)
        made = at.session.view_of_branch(BranchName(text))
        assert made is not None, "BUG: a new branch is at the root"
        return made

    def rmdir(self, at: Place, text: str) -> None:
        """Drops a branch."""
        at.session.drop(text)


class Snapshots(Fixed):
    """`snapshots/`, which is a directory in the root's `.pyi/` only."""

    mode = 0o700

    def lookup(self, at: Place, text: str) -> Entry | None:
        """Returns a snapshot's view, or a symlink to it from its id, number or another name."""
        try:
            snapshot = at.session.workspace.find_snapshot(text)
        except RequestError:
            return None
        if text == stands_at(snapshot):
            return at.session.view_of_snapshot(snapshot)
        return at.node.child(text.encode(), "link")

    def entries(self, at: Place) -> Listing:
        """Returns every id, in the order in which they were taken, then every name."""
        refs = at.session.workspace.refresh()
        texts = [(snapshot.id.encode(), snapshot) for snapshot in refs.ordered()]
        names = sorted(refs.names.items())
        texts += [(name.encode(), refs.snapshots[snapshot_id]) for name, snapshot_id in names]
        found: Listing = []
        for name, snapshot in texts:
            is_view = name.decode() == stands_at(snapshot)
            view = at.session.view_of_snapshot(snapshot) if is_view else None
            found.append((name, view or at.node.child(name, "link")))
        return found

    def readlink(self, at: Place, text: str) -> str:
        """Returns the name or id at which the snapshot stands."""
        target = stands_at(at.session.workspace.find_snapshot(text))
        if target == text:
            raise NotFoundError(f"'{text}' is a directory, not a symlink")
        return target

    def mkdir(self, at: Place, text: str) -> View:
        """Takes a named snapshot of the root; on an unchanged tree it names the last one."""
        branch = at.session.live_branch(at.view)
        answer = at.session.workspace.snapshot(branch, name=check_ref_name(text))
        return at.session.view_of_snapshot(answer.snapshot)

    def rmdir(self, at: Place, text: str) -> None:
        """Deletes a snapshot by its id or name."""
        at.session.delete_snapshot(text)


DIRECTORIES: dict[tuple[bytes, ...], Directory] = {
    (): Top(),
    (b"branches",): Branches(),
    (b"diff",): Diffs(),
    (b"diff0",): Diffs(),
    (b"snapshots",): Snapshots(),
}
"""What stands behind a directory node's path."""


def stands_at(snapshot: Snapshot) -> str:
    """Returns the name at which a snapshot's directory stands."""
    return snapshot.name or snapshot.id
