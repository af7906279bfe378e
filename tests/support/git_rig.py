"""A workspace to fill and a git repository to look into."""

import os
import random
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import RequestError
from pyi_fs.git.names import has_dot_git
from pyi_fs.ids import ROOT_INODE, InodeNumber, WorkspaceName
from pyi_fs.model.check import check
from pyi_fs.model.mutation import Create, Link, Remove, Rename, SetAttributes
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree

Picture = dict[bytes, tuple[bytes, bytes]]
"""Path -> git's mode and the bytes: what a commit has to hold."""


class Rig:
    """One workspace with its branch `main`, changed by path. Time goes on by itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Store.open(directory / "store")
        create_workspace(self.store, "ws", uid=0, gid=0)
        self.workspace = Workspace(self.store, WorkspaceName("ws"))
        self.branch: Branch = self.workspace.open_branch("main")
        self.repo = directory / "repo"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self._clock = 1_700_000_000 * 10**9

    def close(self) -> None:
        """Closes everything; the tree has to be sound."""
        found = check(self.branch.tree)
        self.workspace.close()
        self.store.close()
        assert found == []

    def now(self) -> int:
        """Returns the next moment."""
        self._clock += 1_000
        return self._clock

    def make(self, path: bytes, mode: int, *, target: bytes = b"", rdev: int = 0) -> InodeNumber:
        """Makes something, with the directories it needs."""
        above, _, name = path.rpartition(b"/")
        parent = self.directory_at(above)
        number = self.branch.next_inode()
        self.branch.commit(Create(parent, name, number, mode, 0, 0, self.now(), target, rdev))
        return number

    def directory_at(self, path: bytes) -> InodeNumber:
        """Returns a directory, made if missing."""
        number = ROOT_INODE
        done = b""
        for name in path.split(b"/") if path else []:
            done = done + b"/" + name if done else name
            child = self.branch.tree.lookup(number, name)
            number = child if child is not None else self.make(done, stat.S_IFDIR | 0o755)
        return number

    def write(self, path: bytes, data: bytes, mode: int = 0o644) -> InodeNumber:
        """Makes a file, or gives one another content."""
        parent, name = self.place(path)
        number = self.branch.tree.lookup(parent, name)
        if number is None:
            number = self.make(path, stat.S_IFREG | mode)
        self.set(number, size=0)
        self.branch.write(number, 0, data, self.now())
        return number

    def set(self, number: InodeNumber, *, mode: int | None = None, size: int | None = None) -> None:
        """Changes mode or size."""
        now = self.now()
        self.branch.commit(SetAttributes(number, mode, None, None, size, None, now, now))

    def place(self, path: bytes) -> tuple[InodeNumber, bytes]:
        """Returns the dentry of a path, whose directory is made if missing."""
        above, _, name = path.rpartition(b"/")
        return self.directory_at(above), name

    def remove(self, path: bytes) -> None:
        """Removes a path with all below it."""
        number = self.branch.tree.resolve(path)
        is_directory = self.branch.tree.existing(number).is_directory
        for name, _ in list(self.branch.tree.entries(number)) if is_directory else []:
            self.remove(path + b"/" + name)
        self.branch.commit(Remove(*self.place(path), is_directory, self.now()))

    def rename(self, old: bytes, new: bytes, flags: int = 0) -> None:
        """Renames."""
        self.branch.commit(Rename(*self.place(old), *self.place(new), flags, self.now()))

    def link(self, old: bytes, new: bytes) -> None:
        """Makes a hard link."""
        number = self.branch.tree.resolve(old)
        self.branch.commit(Link(number, *self.place(new), self.now()))

    def snapshot(self, name: str | None = None, message: str = "", automatic: str = "") -> Snapshot:
        """Takes a snapshot."""
        answer = self.workspace.snapshot(
            self.branch, name=name, message=message, automatic=automatic
        )
        return answer.snapshot

    def git(self, *arguments: str, data: bytes = b"") -> bytes:
        """Returns what git prints; it must succeed."""
        return subprocess.run(
            ["git", "-C", str(self.repo), *arguments],
            env=self.environment,
            input=data,
            capture_output=True,
            check=True,
        ).stdout

    def ids(self, ref: str = "pyi/ws") -> list[str]:
        """Returns the commits of a branch, oldest first."""
        return self.git("rev-list", "--reverse", ref).decode().split()

    def trailers(self, ref: str = "pyi/ws") -> list[str]:
        """Returns the snapshots a branch consists of, oldest first."""
        layout = "--format=%(trailers:key=Pyi-Snapshot,valueonly)"
        return self.git("log", "--reverse", layout, ref).decode().split()

    def committed(self, commit: str) -> Picture:
        """Returns what a commit holds, read object by object."""
        entries = self.git("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")[:-1]
        heads = [entry.partition(b"\t") for entry in entries]
        ids = [head.split()[2] for head, _, _ in heads]
        answer = self.git("cat-file", "--batch", data=b"".join(id_ + b"\n" for id_ in ids))
        picture, at = {}, 0
        for head, _, path in heads:
            line = answer.index(b"\n", at)
            size = int(answer[at:line].split()[2])
            picture[path] = (head.split()[0], answer[line + 1 : line + 1 + size])
            at = line + 2 + size
        return picture

    def checked_out(self, commit: str) -> Picture:
        """Returns what a checkout of a commit puts into an empty directory."""
        place = self.directory / f"checkout-{commit}"
        place.mkdir()
        index = {**self.environment, "GIT_INDEX_FILE": str(self.directory / f"index-{commit}")}
        subprocess.run(
            ["git", f"--work-tree={place}", "-C", str(self.repo), "checkout", "-fq", commit, "."],
            env=index,
            check=True,
            capture_output=True,
        )
        return dict(_files(os.fsencode(place), b""))

    def expected(self, tree: Tree) -> Picture:
        """Returns what a commit of a tree has to hold, by a walk of all of it."""
        picture: Picture = {}
        for path, _, inode in tree.walk():
            if has_dot_git(path):
                continue
            if inode.is_symlink:
                picture[path] = (b"120000", inode.target)
            elif inode.is_file:
                mode = b"100755" if inode.mode & 0o100 else b"100644"
                picture[path] = (mode, self.workspace.reader.read_all(inode))
        return picture

    def fsck(self) -> str:
        """Returns what git finds wrong, with its exit code if it is not 0."""
        done = subprocess.run(
            ["git", "-C", str(self.repo), "fsck", "--strict", "--full", "--no-dangling"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "unborn" not in line]
        return "\n".join(lines) + (f"\nexit code {done.returncode}" if done.returncode else "")


def _files(place: bytes, prefix: bytes) -> Iterator[tuple[bytes, tuple[bytes, bytes]]]:
    for entry in os.scandir(place):
        path = prefix + entry.name
        if entry.is_symlink():
            yield path, (b"120000", os.readlink(entry.path))
        elif entry.is_dir():
            yield from _files(entry.path, path + b"/")
        else:
            mode = b"100755" if entry.stat().st_mode & 0o100 else b"100644"
            yield path, (mode, Path(os.fsdecode(entry.path)).read_bytes())


@contextmanager
def rig_in(directory: Path) -> Iterator[Rig]:
    """Makes a rig, and closes it."""
    rig = Rig(directory)
    try:
        yield rig
    finally:
        rig.close()


_NAMES = [b"a", b"b", b"c", b"d\xff\xfe", b'q"\\\n\t', "\u00e9".encode(), b" s ", b".git", b"x.o"]
_KINDS = [stat.S_IFREG] * 5 + [stat.S_IFDIR] * 4 + [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK]


class RandomChanges:
    """Changes the tree of a rig at random, refusals included, the same way for the same seed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.random = random.Random(seed)

    def grow(self, count: int) -> None:
        """Makes files and directories."""
        for _ in range(count):
            with suppress(RequestError):
                self._create()

    def step(self) -> None:
        """Makes one change, or none if it is refused."""
        choice = self.random.random()
        try:
            if choice < 0.4:
                self._create()
            elif choice < 0.6:
                flags = 2 if self.random.random() < 0.3 else 0
                self.rig.branch.commit(
                    Rename(*self._dentry(True), *self._dentry(flags == 2), flags, self.rig.now())
                )
            elif choice < 0.7:
                parent, name = self._dentry()
                number = self._any()
                self.rig.branch.commit(Link(number, parent, name, self.rig.now()))
            elif choice < 0.85:
                self._change()
            else:
                is_directory = self.random.random() < 0.5
                self.rig.branch.commit(Remove(*self._dentry(True), is_directory, self.rig.now()))
        except RequestError:
            pass

    def _any(self, directories: bool = False) -> InodeNumber:
        tree = self.rig.branch.tree
        numbers = sorted(n for n in tree.numbers() if tree.existing(n).nlink)
        if directories:
            numbers = [n for n in numbers if tree.existing(n).is_directory]
        return self.random.choice(numbers)

    def _dentry(self, is_held: bool = False) -> tuple[InodeNumber, bytes]:
        directory = self._any(directories=True)
        held = sorted(name for name, _ in self.rig.branch.tree.entries(directory))
        return directory, self.random.choice(held if held and is_held else _NAMES)

    def _create(self) -> None:
        kind = self.random.choice(_KINDS)
        target = b"to \xff" if kind == stat.S_IFLNK else b""
        mode = kind | self.random.choice([0o644, 0o755, 0o4711, 0o600])
        number = self.rig.branch.next_inode()
        parent, name = self._dentry()
        now = self.rig.now()
        self.rig.branch.commit(Create(parent, name, number, mode, 0, 0, now, target))
        if kind == stat.S_IFREG:
            self._write(number)

    def _change(self) -> None:
        number = self._any()
        inode = self.rig.branch.tree.existing(number)
        choice = self.random.random()
        if inode.is_file and choice < 0.7:
            self._write(number)
        elif inode.is_file and choice < 0.85:
            self.rig.set(number, size=self.random.randrange(2000))
        elif not inode.is_symlink:
            self.rig.set(number, mode=self.random.choice([0o644, 0o755]))

    def _write(self, number: InodeNumber) -> None:
        data = self.random.randbytes(self.random.choice([1, 100, 5000]))
        self.rig.branch.write(number, self.random.randrange(3000), data, self.rig.now())
