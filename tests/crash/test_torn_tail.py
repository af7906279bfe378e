"""Journals and logs cut at every byte, with garbage behind them, and damaged before the last sync.

A torn end is what a killed writer leaves: it is cut off, and what was whole before it is there.
Damage to what was durable once is told, and nothing is cut.
"""

import random

import pytest

from pyi_fs.errors import CorruptRecordError, PyiError
from pyi_fs.ids import LayerId
from pyi_fs.store import layout
from tests.support.storage import MemoryStorage
from tests.support.workspaces import NAME, Boot, IndexShelf, Picture, Rig, new_workspace

pytestmark = pytest.mark.crash
LOG = layout.operations_log(NAME)


class Scene:
    """A workspace with what it showed after each record; what is before `synced` is durable."""

    def __init__(self, shelf: IndexShelf, *, log: bool) -> None:
        self.shelf = shelf
        self.storage = MemoryStorage(shelf.directory())
        rig = new_workspace(self.storage)
        rig.make("a", b"first")
        rig.snapshot("first")
        self.layer = LayerId(rig.main.position.layer)
        self.path = LOG if log else layout.journal(self.layer)
        rig.main.sync()
        self.synced = self.storage.size_bytes(self.path) or 0
        self.shown: dict[int, tuple[Picture, set[str]]] = {}
        for number in range(4):
            self._note(rig)
            rig.make(f"f{number}")
            self._note(rig)
            rig.write(f"f{number}", b"content %d" % number)
            self._note(rig)
            if log:
                rig.snapshot(f"s{number}")
                self._note(rig)
        self.whole = self.storage.read(self.path)
        rig.die()

    def _note(self, rig: Rig) -> None:
        refs = rig.workspace.refs
        size = self.storage.size_bytes(self.path) or 0
        self.shown[size] = rig.picture(), set(refs.names)

    def with_content(self, content: bytes) -> MemoryStorage:
        """Returns the store with other bytes in the file."""
        copy = MemoryStorage(self.shelf.directory())
        for directory in ("packs", "workspaces", "layers"):
            _copy(self.storage, copy, directory)
        copy.write_atomic(self.path, [content])
        return copy


def _copy(source: MemoryStorage, target: MemoryStorage, path: str) -> None:
    target.make_directory(path, parents=True)
    for name in source.list(path):
        below = f"{path}/{name}"
        try:
            data = source.read(below)
        except IsADirectoryError:
            _copy(source, target, below)
        else:
            file = target.open_append(below, create=True)
            file.append(data)
            file.close()


def refusal(storage: MemoryStorage) -> type[PyiError] | None:
    """Returns what opening the workspace's branch raises."""
    try:
        rig = Rig(storage)
    except PyiError as error:
        return type(error)
    try:
        rig.branch("main")
    except PyiError as error:
        return type(error)
    finally:
        rig.die()
    return None


def opened(storage: MemoryStorage) -> tuple[Picture, set[str]]:
    """Opens the workspace, looks, writes, looks again after another opening."""
    rig = Rig(storage)
    shown = rig.picture(), set(rig.workspace.refs.names)
    assert rig.findings() == []
    rig.make("afterwards", b"goes on")
    rig.snapshot("afterwards")
    written = rig.picture()
    rig.close()
    again = Rig(storage)
    assert again.picture() == written == again.picture_at("afterwards")
    assert again.findings() == []
    again.close()
    return shown


def test_a_journal_cut_at_every_byte_after_the_last_sync_is_what_was_whole(
    shelf: IndexShelf, boot: Boot
) -> None:
    scene = Scene(shelf, log=False)
    for size in range(scene.synced, len(scene.whole) + 1):
        last = max(end for end in scene.shown if end <= size)
        shown, _ = opened(scene.with_content(scene.whole[:size]))
        assert shown == scene.shown[last][0]


def test_a_log_cut_at_every_byte_after_the_last_sync_is_what_was_whole(
    shelf: IndexShelf, boot: Boot
) -> None:
    scene = Scene(shelf, log=True)
    for size in range(scene.synced, len(scene.whole) + 1):
        last = max(end for end in scene.shown if end <= size)
        _, names = opened(scene.with_content(scene.whole[:size]))
        assert names == scene.shown[last][1]


@pytest.mark.parametrize("log", [False, True])
def test_garbage_behind_the_end_is_cut_off(shelf: IndexShelf, boot: Boot, log: bool) -> None:
    scene = Scene(shelf, log=log)
    chance = random.Random(1)
    size = len(scene.whole)
    tails = [bytes(1), bytes(7), bytes(8), bytes(5000), b"\xff" * 40]
    tails += [scene.whole[-30:], scene.whole, scene.whole[scene.synced :]]
    tails += [chance.randbytes(chance.randrange(1, 300)) for _ in range(10)]
    for tail in tails:
        assert opened(scene.with_content(scene.whole + tail)) == scene.shown[size]


@pytest.mark.parametrize("log", [False, True])
def test_every_damaged_byte_before_the_last_sync_is_an_alarm(
    shelf: IndexShelf, boot: Boot, log: bool
) -> None:
    """Nothing is cut, so that what is there can still be looked at."""
    scene = Scene(shelf, log=log)
    for offset in range(scene.synced):
        damaged = bytearray(scene.whole)
        damaged[offset] ^= 1 << offset % 8
        storage = scene.with_content(bytes(damaged))
        assert refusal(storage) is CorruptRecordError, offset
        assert storage.read(scene.path) == bytes(damaged)


@pytest.mark.parametrize("log", [False, True])
def test_a_file_shorter_than_its_last_sync_is_an_alarm(
    shelf: IndexShelf, boot: Boot, log: bool
) -> None:
    scene = Scene(shelf, log=log)
    for size in range(1, scene.synced):
        storage = scene.with_content(scene.whole[:size])
        assert refusal(storage) is CorruptRecordError, size
        assert storage.size_bytes(scene.path) == size


@pytest.mark.parametrize("log", [False, True])
def test_every_damaged_byte_after_the_last_sync_is_a_torn_end(
    shelf: IndexShelf, boot: Boot, log: bool
) -> None:
    scene = Scene(shelf, log=log)
    for offset in range(scene.synced, len(scene.whole), 3):
        damaged = bytearray(scene.whole)
        damaged[offset] ^= 1 << offset % 8
        last = max(end for end in scene.shown if end <= offset)
        shown = opened(scene.with_content(bytes(damaged)))
        assert shown[int(log)] == scene.shown[last][int(log)]
