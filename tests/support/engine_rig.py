"""A store with workspaces to write into, for tests of what stands on the engine."""

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import ROOT_INODE, InodeNumber, WorkspaceName
from pyi_fs.model.mutation import Create, Reap, Remove, SetAttributes

_times = itertools.count(1_700_000_000_000_000_000, 1_000_000)


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Yields the store in a directory, made if need be."""
    store = Store.open(path)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def written(store: Store, name: str, branch: str = "main") -> Iterator[tuple[Workspace, Branch]]:
    """Yields a workspace (made if need be) and a branch of it, synced and closed at the end."""
    if WorkspaceName(name) not in store.workspace_names():
        create_workspace(store, name)
    workspace = Workspace(store, WorkspaceName(name), holder="a test")
    try:
        opened_branch = workspace.open_branch(branch)
        yield workspace, opened_branch
        if workspace.opened(opened_branch.name) is opened_branch:
            opened_branch.sync()
    finally:
        workspace.close()


def noise(length: int, seed: str = "") -> bytes:
    """Returns bytes that do not compress, the same for the same arguments."""
    return hashlib.shake_128(f"{seed}:{length}".encode()).digest(length)


def put(branch: Branch, path: bytes, data: bytes) -> InodeNumber:
    """Makes a file hold `data`; directories on the way are made."""
    directory = ROOT_INODE
    *parents, name = path.split(b"/")
    for parent in parents:
        found = branch.tree.lookup(directory, parent)
        directory = found if found is not None else make(branch, directory, parent, stat.S_IFDIR)
    number = branch.tree.lookup(directory, name)
    if number is None:
        number = make(branch, directory, name, stat.S_IFREG)
    else:
        time_ns = next(_times)
        branch.commit(SetAttributes(number, None, None, None, 0, None, None, time_ns))
    branch.write(number, 0, data, next(_times))
    return number


def make(branch: Branch, directory: InodeNumber, name: bytes, kind: int) -> InodeNumber:
    """Makes an empty file or directory."""
    number = branch.next_inode()
    mode = kind | (0o755 if kind == stat.S_IFDIR else 0o644)
    branch.commit(Create(directory, name, number, mode, 1000, 1000, next(_times)))
    return number


def drop(branch: Branch, name: bytes) -> None:
    """Removes a file of the root."""
    branch.commit(Remove(ROOT_INODE, name, False, next(_times)))
    branch.commit(Reap(tuple(branch.tree.unlinked)))


def contents(branch: Branch) -> dict[bytes, bytes]:
    """Returns every regular file of a branch and what is in it."""
    return {
        path: branch.reader.read_all(inode)
        for path, _, inode in branch.tree.walk()
        if inode.is_file
    }


def blocks_below(path: Path) -> int:
    """Returns the disk that everything below a directory occupies, as `du` would."""
    found = 0
    for directory, _, files in os.walk(path):
        for name in [".", *files]:
            found += os.stat(os.path.join(directory, name)).st_blocks * 512
    return found
