"""One of two processes on a store dies before each of its calls; the other notices nothing.

Each has a branch of the same workspace. What the dead one had acknowledged is there for the other,
which goes on writing, takes the branch over and works with it.
"""

from collections.abc import Callable

import pytest

from pyi_fs import limits
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.errors import BusyError
from tests.support.processes import Disk, Process
from tests.support.storage import Crash
from tests.support.workspaces import NAME, Boot, IndexShelf, Picture, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.usefixtures("layer_numbers")]
Act = Callable[[Rig], object]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 16 * 1024)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 4096)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 2)


ACTS: list[Act] = [
    lambda rig: rig.make("one", on="side"),
    lambda rig: rig.write("one", b"1" * 9000, on="side"),
    lambda rig: rig.snapshot("s1", on="side"),
    lambda rig: rig.write("one", b"2" * 9000, on="side"),
    lambda rig: rig.write("one", b"3" * 9000, on="side"),
    lambda rig: rig.branch("side").reclaim(),
    lambda rig: rig.branch("side").sync(),
    lambda rig: rig.mkdir("d", on="side"),
    lambda rig: rig.make("d/two", on="side"),
    lambda rig: rig.snapshot("s2", on="side"),
    lambda rig: rig.workspace.restore(rig.branch("side"), "s1"),
    lambda rig: rig.write("one", b"4", on="side"),
    lambda rig: rig.workspace.undo(rig.branch("side")),
    lambda rig: rig.workspace.make_branch("third", rig.branch("side")),
    lambda rig: rig.checkpoint(on="side"),
    lambda rig: rig.write("one", b"5", on="side"),
    lambda rig: rig.branch("side").sync(),
]
"""What the process that dies does on its branch; each is one change, or none, of it."""


class Scene:
    """A disk with a workspace of two branches, and the process that stays, which has `main`."""

    def __init__(self, shelf: IndexShelf) -> None:
        self.root = shelf.directory()
        self.disk = Disk(self.root)
        rig = new_workspace(self.disk)
        rig.make("shared", b"from the beginning")
        rig.workspace.make_branch("side", rig.main)
        rig.close()
        self.stays = Rig(Process(self.disk, None, self.root))
        self.stays.make("mine", b"stays")

    def process(self, crash_at: int | None) -> Rig:
        return Rig(Process(self.disk, crash_at, self.root))


def run(rig: Rig, between: Callable[[], object]) -> list[tuple[Picture, set[str]]]:
    """Does the acts; returns what the branch and its names were before and after each."""
    shown = [(rig.picture("side"), set(rig.workspace.refs.names))]
    for act in ACTS:
        act(rig)
        shown.append((rig.picture("side"), set(rig.workspace.refs.names)))
        between()
    return shown


def calls_of(rig: Rig) -> int:
    assert isinstance(rig.storage, Process)
    return len(rig.storage.calls)


def test_the_other_process_goes_on_and_takes_the_branch_over(
    shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    scene = Scene(shelf)
    whole = scene.process(None)
    first = calls_of(whole)
    states = run(whole, lambda: None)
    total = calls_of(whole)
    whole.close()
    scene.stays.close()
    assert total - first > 60
    for crash_at in range(first, total, 1 if is_long else 2):
        scene = Scene(shelf)
        done: list[int] = []
        dies = scene.process(crash_at)
        stays = scene.stays

        def between(stays: Rig = stays, done: list[int] = done) -> None:
            done.append(1)
            stays.write("mine", b"%d" % len(done))
            stays.snapshot()
            with pytest.raises(BusyError, match="process"):
                stays.branch("side")

        try:
            with pytest.raises(Crash):
                run(dies, between)
            dies.die()
            taken = stays.picture("side")
            known = [states[len(done)], states[len(done) + 1]]
            assert without_times(taken) in [without_times(picture) for picture, _ in known]
            assert known[0][1] <= set(stays.workspace.refresh().names)
            for name in known[0][1]:
                stays.picture_at(name)
            assert stays.findings() == []
            assert stays.read("mine").startswith(b"%d" % len(done) if done else b"stays")
            stays.make("after", b"both", on="side")
            stays.workspace.make_branch("joint", stays.branch("side"))
            numbers = [stays.make("x", on=name) for name in ("main", "side", "joint")]
            assert len({*numbers}) == 3
            fork_workspace(stays.store, NAME, "side", "fork")
            stays.close()
            again = scene.process(None)
            assert again.read("after", on="joint") == b"both"
            assert again.findings() == []
            again.close()
        except BaseException as error:
            error.add_note(f"died before call {crash_at} of {total}, after {len(done)} acts")
            raise


def without_times(picture: Picture) -> dict[bytes, tuple[object, ...]]:
    """Returns paths with size and content: the clocks of two runs differ."""
    return {path: (seen[1], seen[2], seen[6], seen[-1]) for path, seen in picture.items()}
