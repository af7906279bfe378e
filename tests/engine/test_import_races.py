"""A tree that is exchanged for links while it is imported: nothing outside of it is ever read.

Not by chance: the exchange is made before each call to the host in turn, for each victim.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyi_fs.engine import host_tree
from pyi_fs.engine.importer import import_directory
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import WorkspaceName
from pyi_fs.model.check import check

pytestmark = [pytest.mark.slow]
SECRET = b"what stands outside"
VICTIMS = ("d", "d/e", "d/e/file", "d/link", "top", "big")
CALLS = ("listdir", "stat", "readlink", "pread", "listxattr", "getxattr", "fstat", "lseek", "dup")


def fill(directory: Path, content: bytes) -> None:
    """The same names on both sides, so that every path also leads somewhere outside."""
    (directory / "d" / "e").mkdir(parents=True)
    for name in ("d/e/file", "d/other", "top"):
        (directory / name).write_bytes(content)
    (directory / "big").write_bytes(content * 5_000)
    (directory / "d" / "link").symlink_to("e")
    os.setxattr(directory / "d" / "e", "user.kept", content)


class Exchanger:
    """Stands between the import and the host; puts a link in the place of something, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.opened: list[tuple[int, int]] = []
        self._at, self._exchange = 0, lambda: None
        functions = {name: self._watched(getattr(os, name)) for name in CALLS}
        monkeypatch.setattr(host_tree, "os", SimpleNamespace(**{**vars(os), **functions}))
        monkeypatch.setattr(host_tree, "_open_on_host", self._open)

    def arm(self, at: int, exchange: Callable[[], None]) -> None:
        self.calls, self._at, self._exchange = 0, at, exchange
        self.opened.clear()

    def _before(self) -> None:
        self.calls += 1
        if self.calls == self._at:
            self._exchange()

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._before()
            return function(*args, **kwargs)

        return watched

    def _open(self, *args: Any, **kwargs: Any) -> int:
        self._before()
        descriptor = os.open(*args, **kwargs)
        status = os.fstat(descriptor)
        self.opened.append((status.st_dev, status.st_ino))
        return descriptor


def identities(directory: Path) -> set[tuple[int, int]]:
    found = [directory, *directory.rglob("*")]
    return {(status.st_dev, status.st_ino) for status in (path.lstat() for path in found)}


@pytest.fixture
def exchanger(monkeypatch: pytest.MonkeyPatch) -> Exchanger:
    return Exchanger(monkeypatch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "store")
    yield store
    store.close()


def assert_without(store: Store, name: str) -> None:
    """No byte, attribute or target of the workspace comes from outside; the tree is sound."""
    workspace = Workspace(store, WorkspaceName(name))
    tree = workspace.open_branch("main").tree
    for path, _, inode in tree.walk():
        if inode.is_file:
            assert SECRET not in workspace.reader.read_all(inode), path
        assert SECRET not in repr(inode).encode(), path
    assert check(tree) == []
    workspace.close()


@pytest.mark.parametrize("victim", VICTIMS)
def test_whatever_becomes_a_link_at_any_moment(
    tmp_path: Path, store: Store, exchanger: Exchanger, victim: str
) -> None:
    outside = tmp_path / "outside"
    fill(outside, SECRET)
    at, exchanged = 0, 0
    while True:
        at += 1
        place = tmp_path / f"round-{at}"
        source, aside = place / "source", place / "aside"
        fill(source, b"what stands inside")
        inside = identities(source)

        def exchange(source: Path = source, aside: Path = aside) -> None:
            (source / victim).rename(aside)
            (source / victim).symlink_to(outside / victim)

        exchanger.arm(at, exchange)
        import_directory(store, source, f"w{at}")
        assert set(exchanger.opened) <= inside
        assert_without(store, f"w{at}")
        if exchanger.calls < at:
            break
        exchanged += 1
    assert exchanged >= 40
