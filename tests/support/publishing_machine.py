"""Files held open while trees are published at random, against a model of design.md, section 6.

The model: a branch is a map of paths to `File`s, and who holds a file open holds a `File`. What is
published shares a `File` with what was there only where the record is the same and nobody has it
open for writing; every other file is another one from then on, and its holders keep the old one.
"""

import errno
import fcntl
import json
import mmap
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from tests.support.acceptance import Served

DIRECTORIES = ("d0", "d1", "d2")
NAMES = ("a", "b", "c", "d")
HOLDERS_MAX = 14
SNAPSHOTS_MAX = 8
MAP_BYTES = 4096
_versions = count(1)


@dataclass(eq=False)
class File:
    """A file of a branch; equal `version`s are equal records of one inode."""

    branch: str
    content: bytes
    version: int = field(default_factory=lambda: next(_versions))
    is_frozen: bool = False
    """Its branch was dropped: it can be read for ever and written no more."""

    def write(self, content: bytes) -> None:
        self.content = content
        self.version = next(_versions)


@dataclass(eq=False)
class Holder:
    """A descriptor; `view` is a shared writable mapping; `kind` says what it is for."""

    kind: str
    descriptor: int
    file: File
    view: mmap.mmap | None = None

    @property
    def is_writer(self) -> bool:
        return self.kind in ("write", "append", "map", "unlinked")


@dataclass
class Branch:
    """What a branch holds: path -> file; directory -> which one; the state before a restore."""

    files: dict[str, File] = field(default_factory=dict)
    directories: dict[str, int] = field(default_factory=dict)
    before: "State | None" = None

    def state(self) -> "State":
        kept = {path: (file.version, file.content) for path, file in self.files.items()}
        return State(kept, dict(self.directories))


@dataclass(frozen=True)
class State:
    """A tree as a snapshot keeps it: path -> (version, content)."""

    files: dict[str, tuple[int, bytes]]
    directories: dict[str, int]


class PublishingMachine:
    """A mount, its model and who holds what. `log` says what was done, `counts` how often."""

    def __init__(self, mount: Served, seed: int) -> None:
        self._mount = mount
        self._root = mount.path
        self._dice = random.Random(seed)
        self._branches = {"main": Branch()}
        self._head = "main"
        self._snapshots: dict[str, State] = {}
        self._holders: list[Holder] = []
        self._standing: dict[int, tuple[str, int]] = {}
        self._made = count(1)
        self.log: list[str] = []
        self.counts: dict[str, int] = {}

    @property
    def _branch(self) -> Branch:
        return self._branches[self._head]

    def close(self) -> None:
        """Closes what is held."""
        for holder in self._holders:
            self._release(holder)
        for _, descriptor in self._standing.values():
            os.close(descriptor)
        self._holders.clear()
        self._standing.clear()

    def run(self, steps: int) -> None:
        """Makes steps and looks after each; an `AssertionError` says what was done last."""
        acts: dict[Callable[[], str | None], int] = {
            self._write: 20, self._unlink: 5, self._make_directory: 3, self._remove_directory: 8,
            self._hold: 22, self._let_go: 12, self._use: 30, self._stand: 4, self._snapshot: 7,
            self._restore: 7, self._undo: 4, self._make_branch: 3, self._switch: 4, self._drop: 2,
        }  # fmt: skip
        try:
            for step in range(steps):
                (act,) = self._dice.choices(list(acts), list(acts.values()))
                done = act()
                if done is not None:
                    kind = done.partition(" ")[0]
                    self.counts[kind] = self.counts.get(kind, 0) + 1
                    self.log.append(f"{step}: {done}")
                self._look_at_holders()
                if done is not None and done.partition(" ")[0] in ("restore", "undo", "switch"):
                    self._look_at_tree()
            self._look_at_tree()
        except (AssertionError, OSError) as error:
            error.add_note("\n".join(self.log[-40:]))
            raise

    # What somebody sees.

    def _look_at_holders(self) -> None:
        for holder in self._holders:
            seen = os.pread(holder.descriptor, 1 << 16, 0) if holder.kind != "append" else None
            if seen is not None:
                assert seen == holder.file.content, self._said(holder, seen)
            size = os.fstat(holder.descriptor).st_size
            assert size == len(holder.file.content), f"{holder.kind}: {size} bytes"
            if holder.view is not None:
                shown = holder.view[: len(holder.file.content)]
                assert shown == holder.file.content[: len(holder.view)], self._said(holder, shown)

    def _look_at_tree(self) -> None:
        branch = self._branch
        listed = {path.name for path in self._root.iterdir()}
        assert listed == branch.directories.keys(), f"{listed} not {branch.directories}"
        for directory in DIRECTORIES:
            wanted = {p.partition("/")[2] for p in branch.files if p.startswith(directory + "/")}
            if directory in branch.directories:
                found = set(os.listdir(self._root / directory))
                assert found == wanted, f"{directory}: {found} not {wanted}"
            for name in NAMES:
                path = self._root / directory / name
                assert path.exists() == (name in wanted), path
                if name in wanted:
                    assert path.read_bytes() == branch.files[f"{directory}/{name}"].content, path
        for which, (directory, descriptor) in self._standing.items():
            if branch.directories.get(directory) == which:
                self._look_from(directory, descriptor)
            else:
                made = _errno(lambda d=descriptor: os.mkdir("new", dir_fd=d))  # type: ignore[misc]
                assert made == errno.ENOENT, f"standing in {directory}, which is gone: {made}"
        self._look_at_locks()

    def _look_from(self, directory: str, descriptor: int) -> None:
        """Who stands in a directory sees what is in it."""
        again = os.open(".", os.O_RDONLY, dir_fd=descriptor)
        try:
            found = set(os.listdir(again))
        finally:
            os.close(again)
        prefix = directory + "/"
        wanted = {p.removeprefix(prefix) for p in self._branch.files if p.startswith(prefix)}
        assert found == wanted, f"standing in {directory}: {found} not {wanted}"

    def _look_at_locks(self) -> None:
        """A lock is on the file that was locked, and on no other of its name."""
        locked = {holder.file for holder in self._holders if holder.kind == "lock"}
        for path, file in self._branch.files.items():
            descriptor = os.open(self._root / path, os.O_RDONLY)
            try:
                taken = _errno(lambda d=descriptor: fcntl.flock(d, fcntl.LOCK_EX | fcntl.LOCK_NB))  # type: ignore[misc]
            finally:
                os.close(descriptor)
            assert (taken == errno.EWOULDBLOCK) == (file in locked), f"lock of {path}: {taken}"

    def _said(self, holder: Holder, seen: bytes) -> str:
        return f"{holder.kind} sees {seen[:40]!r}, not {holder.file.content[:40]!r}"

    # What is done to the tree.

    def _content(self) -> bytes:
        return b"%06d|" % next(self._made) * self._dice.randint(1, 400)

    def _path(self) -> str | None:
        paths = sorted(self._branch.files)
        return self._dice.choice(paths) if paths else None

    def _write(self) -> str | None:
        if not self._branch.directories:
            return None
        directory = self._dice.choice(sorted(self._branch.directories))
        path = f"{directory}/{self._dice.choice(NAMES)}"
        content, file = self._content(), self._branch.files.get(path)
        (self._root / path).write_bytes(content)
        if file is None:
            self._branch.files[path] = File(self._head, content)
        else:
            file.write(content)
        return f"write {path}"

    def _unlink(self) -> str | None:
        path = self._path()
        if path is None:
            return None
        os.unlink(self._root / path)
        del self._branch.files[path]
        return f"unlink {path}"

    def _make_directory(self) -> str | None:
        free = [name for name in DIRECTORIES if name not in self._branch.directories]
        if not free:
            return None
        os.mkdir(self._root / free[0])
        self._branch.directories[free[0]] = next(self._made)
        return f"mkdir {free[0]}"

    def _remove_directory(self) -> str | None:
        used = {path.partition("/")[0] for path in self._branch.files}
        empty = sorted(self._branch.directories.keys() - used)
        if not empty:
            return None
        os.rmdir(self._root / empty[0])
        which = self._branch.directories.pop(empty[0])
        if which in self._standing:
            # Whoever stood in it when the kernel removed it never comes back to it.
            os.close(self._standing.pop(which)[1])
        return f"rmdir {empty[0]}"

    def _snapshot(self) -> str:
        name = self._mount.snapshot()
        self._snapshots[name] = self._branch.state()
        while len(self._snapshots) > SNAPSHOTS_MAX:
            del self._snapshots[next(iter(self._snapshots))]
        return f"snapshot {name}"

    # Holders.

    def _hold(self) -> str | None:
        path = self._path()
        if path is None or len(self._holders) >= HOLDERS_MAX:
            return None
        kind = self._dice.choice(("read", "read", "write", "append", "map", "unlinked", "lock"))
        file = self._branch.files[path]
        if kind == "lock" and any(h.file is file and h.kind == "lock" for h in self._holders):
            return None
        flags = {"read": os.O_RDONLY, "lock": os.O_RDONLY, "append": os.O_WRONLY | os.O_APPEND}
        holder = Holder(kind, os.open(self._root / path, flags.get(kind, os.O_RDWR)), file)
        self._holders.append(holder)
        if kind == "map":
            holder.view = mmap.mmap(holder.descriptor, min(MAP_BYTES, len(file.content)))
        elif kind == "unlinked":
            os.unlink(self._root / path)
            del self._branch.files[path]
        elif kind == "lock":
            fcntl.flock(holder.descriptor, fcntl.LOCK_EX)
        return f"hold {kind} {path}"

    def _let_go(self) -> str | None:
        if not self._holders:
            return None
        holder = self._holders.pop(self._dice.randrange(len(self._holders)))
        self._release(holder)
        return f"release {holder.kind}"

    def _release(self, holder: Holder) -> None:
        if holder.view is not None:
            holder.view.close()
        os.close(holder.descriptor)

    def _use(self) -> str | None:
        writers = [holder for holder in self._holders if holder.is_writer]
        if not writers:
            return None
        holder = self._dice.choice(writers)
        file, content = holder.file, self._content()
        if file.is_frozen:
            refused = _errno(lambda: os.write(holder.descriptor, b"x"))
            assert refused in (errno.EROFS, errno.ESTALE), errno.errorcode.get(refused, refused)
            return f"refused {holder.kind}"
        if holder.kind == "append":
            os.write(holder.descriptor, content)
            file.write(file.content + content)
        elif holder.view is not None:
            length = min(len(content), len(file.content), len(holder.view))
            if not length:
                return None
            holder.view[:length] = content[:length]
            holder.view.flush()
            file.write(content[:length] + file.content[length:])
        else:
            os.pwrite(holder.descriptor, content, 0)
            file.write(content + file.content[len(content) :])
        return f"use {holder.kind}"

    def _stand(self) -> str | None:
        known = self._branch.directories.items()
        free = sorted(name for name, which in known if which not in self._standing)
        if not free:
            return None
        descriptor = os.open(self._root / free[0], os.O_RDONLY | os.O_DIRECTORY)
        self._standing[self._branch.directories[free[0]]] = free[0], descriptor
        return f"stand {free[0]}"

    # Publishing.

    def _restore(self) -> str | None:
        if not self._snapshots:
            return None
        name = self._dice.choice(sorted(self._snapshots))
        before = self._branch.state()
        self._mount.control("restore", name)
        self._publish(self._snapshots[name])
        self._branch.before = before
        return f"restore {name}"

    def _undo(self) -> str | None:
        before = self._branch.before
        if before is None:
            return None
        self._mount.control("undo", str(self._newest_restore()))
        self._publish(before)
        self._branch.before = None
        return "undo"

    def _newest_restore(self) -> int:
        for line in self._mount.ask("log").splitlines():
            entry = json.loads(line)
            if entry["operation"] == "restore" and entry["branch"] == self._head:
                return int(entry["id"])
        raise AssertionError("BUG: no restore in the log")

    def _publish(self, state: State) -> None:
        branch = self._branch
        same = {file.version: file for file in branch.files.values() if not self._is_written(file)}
        branch.files = {
            path: same.get(version) or File(self._head, content, version)
            for path, (version, content) in state.files.items()
        }
        branch.directories = dict(state.directories)

    def _is_written(self, file: File) -> bool:
        return any(holder.file is file and holder.is_writer for holder in self._holders)

    def _make_branch(self) -> str | None:
        if len(self._branches) > 2:
            return None
        name = f"b{next(self._made)}"
        self._mount.control("branch", name)
        copy = {p: File(name, f.content, f.version) for p, f in self._branch.files.items()}
        self._branches[name] = Branch(copy, dict(self._branch.directories))
        return f"branch {name}"

    def _switch(self) -> str | None:
        others = sorted(self._branches.keys() - {self._head})
        if not others:
            return None
        old, self._head = self._branch, self._dice.choice(others)
        self._mount.control("head", self._head)
        new = {file.version: file for file in self._branch.files.values()}
        # What is the same in both and only read is the same file: it goes with the root. Not if
        # somebody has the other branch's file open: that one comes back to the root instead.
        held = {holder.file for holder in self._holders}
        for file in set(old.files.values()):
            twin = new.get(file.version)
            if twin is not None and twin not in held and not self._is_written(file):
                for holder in self._holders:
                    if holder.file is file:
                        holder.file = twin
        return f"switch {self._head}"

    def _drop(self) -> str | None:
        others = sorted(self._branches.keys() - {self._head, "main"})
        if not others:
            return None
        name = self._dice.choice(others)
        self._mount.control("drop", name)
        del self._branches[name]
        for holder in self._holders:
            if holder.file.branch == name:
                holder.file.is_frozen = True
        return f"drop {name}"


def _errno(call: Callable[[], object]) -> int:
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0
