"""A real workspace under a control directory, and a path walker that stands in for the kernel."""

import os
import stat

from pyi_fs.control.handle import ControlHandle
from pyi_fs.control.node import ControlNode
from pyi_fs.control.nodes import Control
from pyi_fs.control.session import Session
from pyi_fs.control.view import View, ViewChange
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotADirectoryInTreeError, NotFoundError
from pyi_fs.ids import ROOT_INODE, BranchName, WorkspaceName
from pyi_fs.model.mutation import Create, Remove, SetAttributes
from pyi_fs.model.refs import Snapshot

UID = 1000
Place = View | ControlNode


class Rig:
    """One mount of a workspace, without a kernel: paths begin at the mount's root."""

    def __init__(self, store: Store, *, read_only: bool = False, at: str | None = None) -> None:
        self.workspace = Workspace(store, WorkspaceName("work"), holder="a test")
        root: Branch | Snapshot
        root = self.workspace.find_snapshot(at) if at else self.workspace.open_branch("main")
        self.session = Session(
            self.workspace, root, read_only=read_only, control_uid=UID, mountpoint="/mnt/work"
        )
        self.changes: list[ViewChange] = []
        self.session.on_view_changed = self.changes.append
        self.control = Control(self.session)

    # The tree.

    def put(self, path: str, content: bytes, branch: Branch | None = None) -> None:
        """Writes a file of a branch (the root's), making it if it is not there."""
        branch = branch or self.session.live_branch(self.session.root)
        name, _, rest = path.partition("/")
        directory = ROOT_INODE
        while rest:
            found = branch.tree.lookup(directory, name.encode())
            directory = found or self._made(branch, directory, name, stat.S_IFDIR | 0o755)
            name, _, rest = rest.partition("/")
        number = branch.tree.lookup(directory, name.encode())
        number = number or self._made(branch, directory, name, stat.S_IFREG | 0o644)
        branch.write(number, 0, content, 2)

    def _made(self, branch, directory, name, mode):
        number = branch.next_inode()
        branch.commit(Create(directory, os.fsencode(name), number, mode, UID, UID, 1))
        return number

    def replace(self, name: str, content: bytes, branch: Branch) -> None:
        """Writes a file of the branch's root as `>` does: what was in it is gone."""
        number = branch.tree.lookup(ROOT_INODE, name.encode())
        if number is not None:
            branch.commit(SetAttributes(number, None, None, None, 0, None, None, 2))
        self.put(name, content, branch)

    def remove(self, name: str, branch: Branch | None = None) -> None:
        branch = branch or self.session.live_branch(self.session.root)
        branch.commit(Remove(ROOT_INODE, name.encode(), False, 3))

    def content(self, path: str) -> bytes:
        """Returns a file's bytes through whatever view the path leads to."""
        view, rest = self.view_and_rest(path)
        inode = view.tree.existing(view.tree.resolve(rest))
        return self.workspace.reader.read(inode, 0, inode.size)

    def names(self, path: str) -> list[str]:
        view, rest = self.view_and_rest(path)
        found = view.tree.entries(view.tree.resolve(rest))
        return sorted(os.fsdecode(name) for name, _ in found)

    # The control directory.

    def read(self, path: str, uid: int = UID) -> bytes:
        return self.open(path, uid).read(0, 1 << 20)

    def write(self, path: str, data: bytes, uid: int = UID) -> ControlHandle:
        handle = self.open(path, uid)
        assert handle.write(0, data) == len(data)
        return handle

    def open(self, path: str, uid: int = UID) -> ControlHandle:
        return self.control.open(self.node(path), uid=uid)

    def ls(self, path: str) -> list[str]:
        return [name.decode() for name, _ in self.control.entries(self.node(path))]

    def mkdir(self, path: str, uid: int = UID) -> View:
        above, _, name = path.rpartition("/")
        return self.control.mkdir(self.node(above), name.encode(), uid=uid)

    def rmdir(self, path: str, uid: int = UID) -> None:
        above, _, name = path.rpartition("/")
        self.control.rmdir(self.node(above), name.encode(), uid=uid)

    def readlink(self, path: str) -> str:
        found = self.walk(path, follow=False)[-1][1]
        assert isinstance(found, ControlNode), f"{path} is no symlink"
        return self.control.readlink(found).decode()

    def node(self, path: str) -> ControlNode:
        found = self.resolve(path)
        assert isinstance(found, ControlNode), f"{path} is not below .pyi"
        return found

    def resolve(self, path: str) -> Place:
        """Returns what a path leads to, following every symlink as a kernel does."""
        return self.walk(path)[-1][1]

    def real_path(self, path: str) -> str:
        return "/".join(name for name, _ in self.walk(path)[1:])

    def walk(self, path: str, *, follow: bool = True) -> list[tuple[str, Place]]:
        """Returns the chain of directories from the root to what a path leads to."""
        chain: list[tuple[str, Place]] = [("", self.session.root)]
        rest = path.split("/")
        links = 0
        while rest:
            name = rest.pop(0)
            if name == "..":
                chain = chain[:-1] or chain
                continue
            found = self.child(chain[-1][1], name)
            if isinstance(found, ControlNode) and found.kind == "link" and (rest or follow):
                links += 1
                assert links < 40, f"symlinks without end: {path}"
                rest = self.control.readlink(found).decode().split("/") + rest
                continue
            chain.append((name, found))
        return chain

    def child(self, place: Place, name: str) -> Place:
        if isinstance(place, View):
            found: Place | None = self.control.root(place.number) if name == ".pyi" else None
        elif place.kind == "directory":
            found = self.control.lookup(place, name.encode())
        else:
            raise NotADirectoryInTreeError(name)
        if found is None:
            raise NotFoundError(name)
        return found

    def view_and_rest(self, path: str) -> tuple[View, bytes]:
        names = path.split("/")
        for count in range(len(names), 0, -1):
            try:
                found = self.resolve("/".join(names[:count]))
            except NotFoundError:
                continue
            if isinstance(found, View):
                return found, "/".join(names[count:]).encode()
        return self.session.root, path.encode()

    def branch(self, name: str) -> Branch:
        """Returns a branch that this mount has open."""
        found = self.workspace.opened(BranchName(name))
        assert found is not None, f"{name} is not open here"
        return found

    def close(self) -> None:
        self.session.close()
        self.workspace.close()
