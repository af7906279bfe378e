"""Peers that keep states of a tree: snapshot, restore, make a private copy, drop it.

Each does it the way its users do. Instances are plain data, so that agents in other processes can
use them.
"""

import fcntl
import os
import shutil
import struct
from abc import ABC, abstractmethod
from pathlib import Path

from bench.peers.base import BIN, lacks, lacks_loop, run


class Keeper(ABC):
    """A tree whose states can be kept, at `root`; all but `branch` act on it or on a copy of it."""

    name: str
    root: Path

    def missing(self) -> str | None:
        """Returns in a few words why it cannot be had here; None if it can."""
        return None

    @abstractmethod
    def start(self, base: Path, source: Path) -> None:
        """Makes `root` with the contents of `source`, everything below `base`."""

    @abstractmethod
    def snapshot(self, tree: Path, tag: str) -> str:
        """Keeps the present state of a tree; returns what `restore` wants to hear."""

    @abstractmethod
    def restore(self, tree: Path, kept: str) -> None:
        """Brings a kept state of the tree back in place."""

    @abstractmethod
    def branch(self, name: str) -> Path:
        """Makes a private writable copy of `root`; returns where it is."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Throws a private copy away."""

    def end(self) -> None:  # noqa: B027  plain copies have nothing to take down
        """Takes everything down; what lies below `base` is removed by the caller."""


class Ours(Keeper):
    """A mounted workspace and its control files, each opened for each request."""

    name = "pyi-fs"

    def start(self, base: Path, source: Path) -> None:
        """Imports and mounts."""
        self.store, self.root = base / "store", base / "tree"
        self.root.mkdir()
        self._command("pyi-mount", "--from", f"{source}/", "work", str(self.root))

    def _command(self, name: str, *words: str) -> None:
        run([BIN / name, "--store", self.store, *words])

    def _ask(self, path: Path) -> bytes:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.pread(descriptor, 4096, 0)
        finally:
            os.close(descriptor)

    def _tell(self, path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, text.encode(), 0)
        finally:
            os.close(descriptor)

    def snapshot(self, tree: Path, tag: str) -> str:  # noqa: ARG002  ours are named by the mount
        """One read."""
        return self._ask(tree / ".pyi/snapshot").split(b"\t")[0].decode().strip()

    def restore(self, tree: Path, kept: str) -> None:
        """One write."""
        self._tell(tree / ".pyi/restore", kept)

    def branch(self, name: str) -> Path:
        """One write."""
        self._tell(self.root / ".pyi/branch", name)
        return self.root / ".pyi/branches" / name

    def drop(self, name: str) -> None:
        """One write."""
        self._tell(self.root / ".pyi/drop", name)

    def end(self) -> None:
        """Unmounts."""
        run([BIN / "pyi-mount", "--unmount", self.root])


_descriptors: dict[tuple[int, Path, int], int] = {}


class OursDescriptor(Ours):
    """The same on descriptors that are kept open."""

    name = "pyi-fs, open descriptor"

    def _open(self, path: Path, flags: int) -> int:
        key = (os.getpid(), path, flags)
        if key not in _descriptors:
            _descriptors[key] = os.open(path, flags)
        return _descriptors[key]

    def _ask(self, path: Path) -> bytes:
        return os.pread(self._open(path, os.O_RDONLY), 4096, 0)

    def _tell(self, path: Path, text: str) -> None:
        os.pwrite(self._open(path, os.O_WRONLY), text.encode(), 0)

    def end(self) -> None:
        """Closes what was kept open and unmounts."""
        for key in [key for key in _descriptors if key[1].is_relative_to(self.root)]:
            os.close(_descriptors.pop(key))
        super().end()


class OursCommands(Ours):
    """The same as spawned commands: `cat` and a shell's `echo`."""

    name = "pyi-fs, cat and echo"

    def _ask(self, path: Path) -> bytes:
        return run(["cat", path]).encode()

    def _tell(self, path: Path, text: str) -> None:
        run(["sh", "-c", 'echo "$1" > "$2"', "sh", text, path])


class OursForks(Ours):
    """Copies are forks with a mount and a process of their own."""

    name = "pyi-fs, forks"

    def branch(self, name: str) -> Path:
        """Forks and mounts, one command."""
        tree = self.root.parent / name
        tree.mkdir()
        self._command("pyi-mount", "--from", "work", name, str(tree))
        return tree

    def drop(self, name: str) -> None:
        """Unmounts and removes."""
        tree = self.root.parent / name
        run([BIN / "pyi-mount", "--unmount", tree])
        self._command("pyi-store", "rm", "--yes", name)


class Git(Keeper):
    """git: commit, worktree, reset."""

    name = "git"

    def missing(self) -> str | None:
        """A Debian package."""
        return lacks("git")

    def _git(self, tree: Path, *words: str) -> str:
        who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
        return run(["git", "-C", tree, *who, "-c", "gc.auto=0", *words])

    def start(self, base: Path, source: Path) -> None:
        """Copies and commits."""
        self.root = base / "tree"
        run(["cp", "-a", source, self.root])
        self._git(self.root, "init", "-q")
        self._git(self.root, "add", "-A")
        self._git(self.root, "commit", "-q", "-m", "base")

    def snapshot(self, tree: Path, tag: str) -> str:
        """Adds everything and commits."""
        self._git(tree, "add", "-A")
        self._git(tree, "commit", "-q", "--allow-empty", "-m", tag)
        return self._git(tree, "rev-parse", "HEAD").strip()

    def restore(self, tree: Path, kept: str) -> None:
        """Resets; what is not tracked goes too."""
        self._git(tree, "reset", "-q", "--hard", kept)
        self._git(tree, "clean", "-q", "-fd")

    def branch(self, name: str) -> Path:
        """A worktree on a branch of its own.

        One at a time: two at once fail now and then, since git reads what the other has just begun
        to write ("failed to read .git/worktrees/.../commondir").
        """
        tree = self.root.parent / name
        with (self.root.parent / "worktree.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self._git(self.root, "worktree", "add", "-q", "-b", name, str(tree))
        return tree

    def drop(self, name: str) -> None:
        """Removes the worktree and its branch."""
        self._git(self.root, "worktree", "remove", "--force", str(self.root.parent / name))
        self._git(self.root, "branch", "-q", "-D", name)


class Copies(Keeper):
    """`cp -a` and `rm -rf`."""

    name = "cp -a"

    def start(self, base: Path, source: Path) -> None:
        """Copies."""
        self.base, self.root = base, base / "tree"
        run(["cp", "-a", source, self.root])

    def snapshot(self, tree: Path, tag: str) -> str:
        """Copies."""
        kept = self.base / f"kept-{tree.name}-{tag}"
        run(["cp", "-a", tree, kept])
        return str(kept)

    def restore(self, tree: Path, kept: str) -> None:
        """Removes and copies back."""
        run(["rm", "-rf", tree])
        run(["cp", "-a", kept, tree])

    def branch(self, name: str) -> Path:
        """Copies."""
        run(["cp", "-a", self.root, self.base / name])
        return self.base / name

    def drop(self, name: str) -> None:
        """Removes the copy and what was kept of it."""
        run(["rm", "-rf", self.base / name, *self.base.glob(f"kept-{name}-*")])


class OverlayMounts(Keeper):
    """A kernel overlay for each copy; a state is a copy of the upper directory."""

    name = "overlayfs"

    def missing(self) -> str | None:
        """Needs root to mount."""
        return lacks("mount", root=True)

    def start(self, base: Path, source: Path) -> None:
        """The tree is the lower directory; `root` is an overlay too, so that it can be restored."""
        self.base, self.lower = base, base / "lower"
        run(["cp", "-a", source, self.lower])
        self.root = self.branch("tree")

    def _mount(self, tree: Path) -> None:
        part = {what: self.base / f"{what}-{tree.name}" for what in ("upper", "scratch")}
        for directory in part.values():
            directory.mkdir(exist_ok=True)
        options = f"lowerdir={self.lower},upperdir={part['upper']},workdir={part['scratch']}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, tree])

    def snapshot(self, tree: Path, tag: str) -> str:
        """Copies the upper directory."""
        kept = self.base / f"kept-{tree.name}-{tag}"
        run(["cp", "-a", self.base / f"upper-{tree.name}", kept])
        return str(kept)

    def restore(self, tree: Path, kept: str) -> None:
        """Unmounts, puts the upper directory back and mounts: nobody may have a file open."""
        run(["umount", tree])
        shutil.rmtree(self.base / f"upper-{tree.name}")
        shutil.rmtree(self.base / f"scratch-{tree.name}")
        run(["cp", "-a", kept, self.base / f"upper-{tree.name}"])
        self._mount(tree)

    def branch(self, name: str) -> Path:
        """Mounts another overlay over the same lower directory."""
        tree = self.base / name
        tree.mkdir()
        self._mount(tree)
        return tree

    def drop(self, name: str) -> None:
        """Unmounts and removes its directories."""
        run(["umount", self.base / name])
        for what in ("upper", "scratch"):
            shutil.rmtree(self.base / f"{what}-{name}")
        run(["rm", "-rf", self.base / name, *self.base.glob(f"kept-{name}-*")])

    def end(self) -> None:
        """Unmounts."""
        run(["umount", self.root])


class Subvolumes(Keeper):
    """btrfs on a loop device: subvolumes and their snapshots, by its command."""

    name = "btrfs"

    def missing(self) -> str | None:
        """Needs the kernel's btrfs and root."""
        if "btrfs" not in Path("/proc/filesystems").read_text():
            return "the kernel has no btrfs"
        return lacks("mkfs.btrfs", "btrfs", root=True) or lacks_loop()

    def start(self, base: Path, source: Path) -> None:
        """Makes the image, mounts it, copies into a subvolume."""
        self.top = base / "top"
        self.top.mkdir()
        with (base / "image").open("wb") as file:
            file.truncate(8 << 30)
        run(["mkfs.btrfs", "-q", base / "image"])
        run(["mount", "-o", "loop,noatime", base / "image", self.top])
        self.root = self.top / "tree"
        run(["btrfs", "subvolume", "create", self.root])
        run(["cp", "-a", f"{source}/.", self.root])

    def _clone(self, source: Path, target: Path) -> None:
        run(["btrfs", "subvolume", "snapshot", source, target])

    def _delete(self, tree: Path) -> None:
        run(["btrfs", "subvolume", "delete", tree])

    def snapshot(self, tree: Path, tag: str) -> str:
        """A snapshot beside it."""
        kept = self.top / f"kept-{tree.name}-{tag}"
        self._clone(tree, kept)
        return str(kept)

    def restore(self, tree: Path, kept: str) -> None:
        """Deletes the subvolume and makes a snapshot of the kept one in its place."""
        self._delete(tree)
        self._clone(Path(kept), tree)

    def branch(self, name: str) -> Path:
        """A writable snapshot."""
        self._clone(self.root, self.top / name)
        return self.top / name

    def drop(self, name: str) -> None:
        """Deletes it and what was kept of it."""
        for tree in [self.top / name, *self.top.glob(f"kept-{name}-*")]:
            self._delete(tree)

    def end(self) -> None:
        """Unmounts; the loop device goes with it."""
        run(["umount", self.top])


# include/uapi/linux/btrfs.h: _IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2), 4,096 bytes; and
# _IOW(0x94, 15, struct btrfs_ioctl_vol_args), 4,096 bytes.
_SNAP_CREATE_V2 = 0x50009417
_SNAP_DESTROY = 0x5000940F


class SubvolumesByCall(Subvolumes):
    """The same by ioctl(2) from Python, without a command."""

    name = "btrfs, ioctl"

    def _clone(self, source: Path, target: Path) -> None:
        below = os.open(source, os.O_RDONLY)
        above = os.open(target.parent, os.O_RDONLY)
        try:
            name = os.fsencode(target.name)
            arguments = struct.pack("=q6Q4040s", below, 0, 0, 0, 0, 0, 0, name)
            fcntl.ioctl(above, _SNAP_CREATE_V2, bytearray(arguments))
        finally:
            os.close(below)
            os.close(above)

    def _delete(self, tree: Path) -> None:
        above = os.open(tree.parent, os.O_RDONLY)
        try:
            arguments = struct.pack("=q4088s", 0, os.fsencode(tree.name))
            fcntl.ioctl(above, _SNAP_DESTROY, bytearray(arguments))
        finally:
            os.close(above)


def keepers() -> list[Keeper]:
    """Returns all of them, ours first."""
    return [
        OursDescriptor(),
        OursCommands(),
        Subvolumes(),
        SubvolumesByCall(),
        OverlayMounts(),
        Git(),
        Copies(),
    ]
