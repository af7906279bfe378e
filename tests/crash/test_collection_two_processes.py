"""A collector dies before each of its calls, beside a mount that wants again what it condemned."""

import pytest

from pyi_fs import limits
from tests.support.engine_rig import noise
from tests.support.garbage_rig import collect_soon
from tests.support.processes import Disk, Process
from tests.support.storage import Crash
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.usefixtures("layer_numbers")]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 24 * 1024)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 4)


def content(number: int) -> bytes:
    return noise(20_000, f"content {number}")


class Scene:
    """A workspace whose old contents are sealed and wanted by nobody; a mount that has it open."""

    def __init__(self, shelf: IndexShelf) -> None:
        self.root = shelf.directory()
        self.disk = Disk(self.root)
        rig = new_workspace(self.disk)
        rig.make("f")
        for number in range(3):
            rig.write("f", content(number))
            rig.snapshot()
            rig.seal_all()
        rig.close()
        self.mount = Rig(Process(self.disk, None, self.root))
        self.mount.write("f", b"of the mount", 100)

    def collector(self, crash_at: int | None) -> Rig:
        return Rig(Process(self.disk, crash_at, self.root))


def calls_of(rig: Rig) -> int:
    assert isinstance(rig.storage, Process)
    return len(rig.storage.calls)


def test_the_mount_goes_on_with_what_was_condemned(
    shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    scene = Scene(shelf)
    whole = scene.collector(None)
    first = calls_of(whole)
    done = collect_soon(whole.store)
    assert done.snapshots == 2
    assert done.maps == 2
    assert done.packs == 2
    total = calls_of(whole)
    whole.close()
    scene.mount.close()
    assert total - first > 15
    for crash_at in range(first, total):
        scene = Scene(shelf)
        mount, dies = scene.mount, scene.collector(crash_at)
        try:
            with pytest.raises(Crash):
                collect_soon(dies.store)
            dies.die()
            for number in range(3):
                mount.make(f"again{number}", content(number))
            mount.snapshot("again")
            mount.seal_all()
            pictures = mount.branch_pictures(), mount.picture_at("again")
            next_one = scene.collector(None)
            collect_soon(next_one.store)
            next_one.close()
            # Another process: this one has maps and chunks in memory.
            mount.close()
            again = scene.collector(None)
            assert (again.branch_pictures(), again.picture_at("again")) == pictures
            for number in range(3):
                assert again.read(f"again{number}") == content(number)
            assert again.findings() == []
            assert collect_soon(again.store).packs == 0
            again.close()
        except BaseException as error:
            error.add_note(f"died before call {crash_at} of {total}")
            raise
