"""Places where the same calls can be made by the same users: the host, a mount, the pure model.

Each shows one directory, in which every sequence gets a fresh one. A call is started, so that
worlds with processes work at once, and its result is asked for.
"""

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Protocol

import pytest

from pyi_fs.control.handle import ControlHandle
from pyi_fs.errors import RequestError
from pyi_fs.fuse.handles import ControlFile
from pyi_fs.fuse.nodes import ROOT_NODE
from pyi_fs.model.inode import Inode
from tests.support.fuse_rig import Rig
from tests.support.mounting import Mount
from tests.support.posix_actor import Actor, User
from tests.support.posix_calls import Call, Failed
from tests.support.vfs_calls import UserCalls
from tests.support.vfs_files import Files, OfTheHost, Opened
from tests.support.vfs_paths import Walker

Picture = dict[str, tuple[Any, ...]]

USERS = (User(0, 0), User(65534, 65534), User(1000, 1000, (65534, 2000)), User(0, 0))
"""Two processes of root and two users; the second has supplementary groups."""


def comparable_directory(path: Path) -> Path:
    """Makes a directory of the host to compare with: ext4, with times as fine as ours; or skips."""
    path.mkdir()
    (path / "sub").mkdir()
    if path.stat().st_nlink != 3:
        pytest.skip("this filesystem does not count subdirectories as links")
    (path / "sub").rmdir()
    seen = set()
    for mode in range(20):
        path.chmod(0o700 + mode)
        seen.add(path.stat().st_ctime_ns)
    if len(seen) != 20:
        pytest.skip("this kernel's times are too coarse to see which of them a call changes")
    path.chmod(0o755)
    return path


class World(Protocol):
    """A directory and its users."""

    is_coarse: bool
    """Its times are those of the kernel's clock that ticks."""

    def begin(self, name: str) -> None:
        """Moves everybody into a fresh directory."""

    def start(self, user: int, call: Call) -> None:
        """Has a call made."""

    def result(self, user: int, theirs: object = None) -> Any:
        """Returns what the call returned; `theirs`: what it did on the host, if that is known."""

    def check(self) -> None:
        """Asserts that the world is what it says."""

    def snapshot(self) -> str:
        """Returns the name of the present state."""

    def restore(self, snapshot: str) -> None:
        """Goes back to a state."""

    def close(self) -> None:
        """Ends it."""


class HostWorld:
    """A directory of the host, with one process for each user."""

    is_coarse = False

    def __init__(self, top: Path) -> None:
        """Starts the processes."""
        self._top = top
        self._actors = [Actor(top, user) for user in USERS]

    def begin(self, name: str) -> None:
        """Moves everybody into a fresh directory."""
        self._remove()
        place = self._top / name
        place.mkdir()
        place.chmod(0o777)
        for actor in self._actors:
            actor.do("chdir", str(place))
            actor.do("close_all")
            actor.do("umask", 0o022)

    def start(self, user: int, call: Call) -> None:
        """Has a call made."""
        self._actors[user].start(call)

    def result(self, user: int, theirs: object = None) -> Any:
        """Returns what the call returned."""
        return self._actors[user].result()

    def check(self) -> None:
        """Nothing can be wrong with the host."""

    def snapshot(self) -> str:
        """The host keeps nothing: nothing happens to it until the restore."""
        return ""

    def restore(self, snapshot: str) -> None:
        """It is as it was."""

    def close(self) -> None:
        """Ends the processes, and takes away what they made: others come here, too."""
        for actor in self._actors:
            actor.close()
        self._remove()

    def _remove(self) -> None:
        # All that is here: a link may have led a call out of the directory.
        for path in self._top.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


class MountWorld(HostWorld):
    """A mount, with one process for each user."""

    def __init__(self, mount: Mount, *, is_coarse: bool = False) -> None:
        """Starts the processes."""
        super().__init__(mount.path)
        self._mount = mount
        self.is_coarse = is_coarse

    def check(self) -> None:
        """Without its mount, the mountpoint is the host's: everything would be equal."""
        assert self._mount.path.is_mount(), self._mount.process.poll()

    def snapshot(self) -> str:
        """Takes a snapshot."""
        return self._mount.snapshot()

    def restore(self, snapshot: str) -> None:
        """Restores it."""
        self._mount.control("restore", snapshot)


class ModelWorld:
    """The handlers of a mount without one: in this process, with `vfs_*.py` for a kernel.

    What they do is to describe mutations; what these mean is the pure model's, `apply`.
    """

    is_coarse = False

    def __init__(self, directory: Path) -> None:
        """Opens a store of its own in a directory."""
        self._rig = rig = Rig(directory)
        # A time that nobody draws: a file's new time must differ from the one it had.
        rig.now = 1_700_000_000_123_456_789
        self._walker = Walker(rig.handlers)
        self._files = Files(rig.handlers, self._walker)
        self._users = [UserCalls(rig.handlers, self._walker, self._files, user) for user in USERS]
        self._call: Call = ("", ())

    def begin(self, name: str) -> None:
        """Moves everybody into a fresh directory."""
        for user in self._users:
            user.close_all()
            user.umask(0o022)
        root = self._users[0]
        self._walker.top = ROOT_NODE
        for other in root.listdir("."):
            self._remove(other)
        root.mkdir(name, 0o755)
        root.chmod(name, 0o777)
        self._walker.top = self._walker.node(USERS[0], name)
        self._walker.hold(self._walker.top)
        self._forget()

    def start(self, user: int, call: Call) -> None:
        """Remembers the call: it takes no time."""
        self._call = call

    def result(self, user: int, theirs: object = None) -> Any:
        """Makes the call; what is the kernel's alone is answered by the host's result."""
        calls = self._users[user]
        name, arguments = self._call
        try:
            return self.picture() if name == "picture" else getattr(calls, name)(*arguments)
        except OfTheHost as foreign:
            if foreign.args and theirs is None:
                # A FIFO that the host could open; the open file is the kernel's.
                opened: Opened = foreign.args[0]
                calls.keep(arguments[0], self._files.kept(opened))
            return theirs
        except (OSError, RequestError) as error:
            return Failed(errno.errorcode[error.errno or 0])
        except ValueError as error:
            return Failed(repr(error))
        finally:
            self._forget()

    def check(self) -> None:
        """Nothing else is here."""

    def snapshot(self) -> str:
        """Takes a snapshot."""
        line = self._control("snapshot").read(0, 100)
        return line.decode().split("\t")[0]

    def restore(self, snapshot: str) -> None:
        """Restores it."""
        self._control("restore").write(0, snapshot.encode())

    def close(self) -> None:
        """Closes the store."""
        self._rig.close()

    def picture(self) -> Picture:
        """Returns the whole tree, in the form of `Calls.picture`."""
        found: Picture = {}
        queue = [(".", self._walker.top)]
        tree = self._rig.branch.tree
        while queue:
            path, node = queue.pop()
            number = self._rig.state.nodes.place(node).number
            inode = tree.existing(number)
            same = (inode.mode, inode.nlink, inode.uid, inode.gid, *self._content(inode))
            found[path] = (number, (inode.mtime_ns, inode.ctime_ns), same)
            if inode.is_directory:
                for name, child in tree.entries(number):
                    below = self._rig.state.nodes.node_of(self._rig.session.root, child)
                    queue.append((f"{path}/{os.fsdecode(name)}", below))
        return found

    def _content(self, inode: Inode) -> tuple[object, ...]:
        xattrs = {os.fsdecode(name): value for name, value in inode.xattrs}
        if inode.is_directory:
            return 0, None, xattrs
        if inode.is_symlink:
            return inode.size, os.fsdecode(inode.target), {}
        if not inode.is_file:
            return inode.size, inode.rdev, {}
        read = self._rig.branch.reader.read
        return (
            inode.size,
            (read(inode, 0, 1 << 16), read(inode, max(0, inode.size - 64), 64)),
            xattrs,
        )

    def _control(self, name: str) -> ControlHandle:
        handle = self._rig.open(self._rig.node(f".pyi/{name}"), os.O_RDWR)
        file = self._rig.state.handles.get(handle)
        assert isinstance(file, ControlFile), "BUG: not a control file"
        self._rig.reaper.release(handle)
        return file.control

    def _remove(self, path: str) -> None:
        root = self._users[0]
        if stat.S_ISDIR(self._walker.inode(self._walker.node(USERS[0], path, follow=False)).mode):
            for name in root.listdir(path):
                self._remove(f"{path}/{name}")
            root.rmdir(path)
        else:
            root.unlink(path)

    def _forget(self) -> None:
        """Forgets what was looked up, as a kernel short of memory does at any time."""
        looked_up = [(node, times) for node, times in self._walker.looked_up.items() if times]
        self._walker.looked_up.clear()
        self._rig.reaper.forget(looked_up)
