"""A machine stopped before each call that changes its disk, by a kill or a power loss.

Each scenario runs once; every moment of it is brought up again and compared with the promises of
`docs/durability.md`. Segments and limits are small here, so that a few hundred calls see segments
roll over, whole ones removed and parts of them punched.
"""

import stat

import pytest

from pyi_fs import limits
from pyi_fs.engine import left_layers
from pyi_fs.model import extent
from pyi_fs.model.mutation import (
    FALLOCATE_KEEP_SIZE,
    FALLOCATE_PUNCH_HOLE,
    RENAME_EXCHANGE,
    Allocate,
    Create,
    RemoveXattr,
    SetAttributes,
    SetXattr,
    Share,
)
from tests.support.crashes import RecordingStorage, Step, judge_kill, judge_power_loss, recorded
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 24 * 1024)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 4096)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 4)
    monkeypatch.setattr(left_layers, "OPEN_MAX", 2)


def text(number: int, length: int) -> bytes:
    """Returns bytes that differ everywhere, so that a misplaced one is seen."""
    return bytes((number * 37 + i * 11 + i // 251) % 256 for i in range(length))


def write(path: str, number: int, length: int, offset: int = 0, *, on: str = "main") -> Step:
    return (
        f"write {path}",
        lambda rig: rig.write(path, text(number, length), offset, on=on),
    )


def make(path: str, *, on: str = "main") -> Step:
    return f"make {path}", lambda rig: rig.make(path, on=on)


def attributes(path: str, **fields: int) -> Step:
    def do(rig: Rig) -> None:
        known = dict.fromkeys(("mode", "uid", "gid", "size", "atime_ns", "mtime_ns"))
        rig.commit(SetAttributes(rig.number(path), **{**known, **fields}, time_ns=rig.now()))  # type: ignore[arg-type]

    return f"attributes of {path}", do


def share(source: str, target: str, length: int) -> Step:
    def do(rig: Rig) -> None:
        inode = rig.main.tree.existing(rig.number(source))
        pieces = extent.from_extents(extent.overlapping(inode.extents, 0, length))
        rig.commit(Share(rig.number(target), 0, length, pieces, rig.now()))

    return f"share {source} with {target}", do


def sync(rig: Rig) -> None:
    for opened in rig.workspace.opened_branches():
        opened.sync()


def reclaim(rig: Rig) -> None:
    for opened in rig.workspace.opened_branches():
        opened.reclaim()


def undo(rig: Rig) -> None:
    rig.workspace.undo(rig.main)


def redo(rig: Rig) -> None:
    rig.workspace.redo(rig.main)


def restore(name: str, path: bytes | None = None, *, on: str = "main") -> Step:
    return (
        f"restore {name} {path!r}",
        lambda rig: rig.workspace.restore(rig.branch(on), name, path),
    )


def make_branch(name: str, start: str = "main") -> Step:
    return f"make branch {name}", lambda rig: rig.workspace.make_branch(name, rig.branch(start))


SYNC: Step = ("sync", sync)
RECLAIM: Step = ("reclaim", reclaim)
SEAL: Step = ("seal", Rig.seal_all)
AHEAD: Step = ("layers made ahead", lambda rig: rig.store.layers.spares.refill())
CHECKPOINT: Step = ("checkpoint", Rig.checkpoint)
SNAPSHOT: Step = ("snapshot", Rig.snapshot)


def named(name: str, *, on: str = "main") -> Step:
    return f"snapshot {name}", lambda rig: rig.snapshot(name, on=on)


NAMESPACE: list[Step] = [
    make("a"),
    write("a", 1, 3000),
    ("mkdir d", lambda rig: rig.mkdir("d")),
    make("d/b"),
    SYNC,
    write("d/b", 2, 700, 100),
    ("symlink", lambda rig: rig.symlink("d/s", b"../a")),
    ("link", lambda rig: rig.link("a", "d/c")),
    SNAPSHOT,
    ("rename", lambda rig: rig.rename("d/b", "b")),
    ("exchange", lambda rig: rig.rename("a", "d", RENAME_EXCHANGE)),
    ("rename over", lambda rig: rig.rename("b", "d")),
    SNAPSHOT,
    SYNC,
    attributes("d", mode=0o600),
    attributes("d", size=50),
    attributes("d", size=5000),
    ("fallocate", lambda rig: rig.commit(Allocate(rig.number("d"), 6000, 100, 0, rig.now()))),
    (
        "punch",
        lambda rig: rig.commit(
            Allocate(rig.number("d"), 5, 20, FALLOCATE_PUNCH_HOLE | FALLOCATE_KEEP_SIZE, rig.now())
        ),
    ),
    ("xattr", lambda rig: rig.commit(SetXattr(rig.number("d"), b"user.x", b"1", rig.now()))),
    ("no xattr", lambda rig: rig.commit(RemoveXattr(rig.number("d"), b"user.x", rig.now()))),
    (
        "fifo",
        lambda rig: rig.commit(
            Create(*rig.at("p"), rig.main.next_inode(), stat.S_IFIFO | 0o600, 1, 2, rig.now())
        ),
    ),
    SYNC,
    named("named"),
    ("remove", lambda rig: rig.remove("a/s")),
    restore("named"),
    ("mkdir e", lambda rig: rig.mkdir("e")),
    SYNC,
    ("rmdir", lambda rig: rig.remove("e", directory=True)),
    ("undo", undo),
    ("redo", redo),
    ("delete", lambda rig: rig.workspace.delete_snapshot("named")),
    SYNC,
]
"""Every kind of change of names and attributes, with snapshots in between."""

DATA: list[Step] = [
    make("a"),
    write("a", 1, 20_000),
    SYNC,
    write("a", 2, 20_000),
    RECLAIM,
    write("a", 3, 20_000),
    RECLAIM,
    SYNC,
    RECLAIM,
    write("a", 4, 9000, 4000),
    SNAPSHOT,
    write("a", 5, 20_000),
    write("a", 6, 20_000),
    RECLAIM,
    SYNC,
    RECLAIM,
    write("a", 13, 9000, 4000),
    RECLAIM,
    write("a", 14, 6000, 12_000),
    SYNC,
    RECLAIM,
    make("b"),
    share("a", "b", 12_000),
    write("a", 7, 20_000),
    RECLAIM,
    attributes("a", size=0),
    RECLAIM,
    SYNC,
    RECLAIM,
    SEAL,
    write("b", 8, 6000, 3000),
    CHECKPOINT,
    write("b", 9, 6000, 8000),
    SNAPSHOT,
    write("b", 10, 14_000),
    RECLAIM,
    SEAL,
    SYNC,
    write("b", 11, 14_000),
    RECLAIM,
    write("b", 12, 14_000),
    RECLAIM,
    CHECKPOINT,
    SNAPSHOT,
]
"""Segments that roll over, are punched, removed, sealed and put under a table."""

BRANCHES: list[Step] = [
    make("a"),
    write("a", 1, 2000),
    named("first"),
    make_branch("side"),
    AHEAD,
    make("x", on="side"),
    write("x", 2, 3000, on="side"),
    SYNC,
    write("a", 3, 2500),
    write("x", 4, 3000, on="side"),
    named("sided", on="side"),
    write("x", 5, 100, 50, on="side"),
    restore("sided", b"x"),
    SYNC,
    write("x", 6, 3000, on="side"),
    named("sided-2", on="side"),
    AHEAD,
    restore("sided-2"),
    write("a", 7, 10),
    SYNC,
    ("undo", undo),
    write("a", 8, 10, 100),
    ("undo", undo),
    ("redo", redo),
    make_branch("third", "side"),
    make("y", on="third"),
    write("y", 9, 900, on="third"),
    SYNC,
    ("drop side", lambda rig: rig.workspace.drop_branch("side")),
    write("y", 10, 900, 500, on="third"),
    ("undrop", undo),
    restore("first", on="third"),
    write("a", 11, 600, on="third"),
    restore("sided", b"x", on="third"),
    SYNC,
    make_branch("fourth", "third"),
    ("drop third", lambda rig: rig.workspace.drop_branch("third")),
    CHECKPOINT,
    write("a", 12, 600),
    SEAL,
    SYNC,
]
"""Branches that start in each other's layers, and paths restored from one to the other."""

LENDING: list[Step] = [
    make("a"),
    SYNC,
    make_branch("side"),
    make("x", on="side"),
    write("x", 1, 3000, on="side"),
    named("x1", on="side"),
    write("x", 2, 3000, on="side"),
    ("sync side", lambda rig: rig.branch("side").sync()),
    write("x", 3, 3000, on="side"),
    named("x3", on="side"),
    restore("x3", b"x"),
    ("sync main", lambda rig: rig.main.sync()),
    write("x", 4, 500, 100),
    write("x", 5, 3000, on="side"),
    ("sync main", lambda rig: rig.main.sync()),
]
"""Bytes that one branch has from another's layer, which is not synced by itself."""

SEALING: list[Step] = [
    make("a"),
    write("a", 1, 20_000),
    SYNC,
    write("a", 2, 20_000),
    ("seal unsynced", lambda rig: rig.seal_all(sync_first=False)),
    write("a", 3, 9000),
    SNAPSHOT,
    write("a", 4, 9000),
    named("kept"),
    SYNC,
    ("delete", lambda rig: rig.workspace.delete_snapshot("kept")),
    write("a", 5, 20_000),
    ("seal unsynced", lambda rig: rig.seal_all(sync_first=False)),
    make("b"),
    SYNC,
]
"""Segments sealed while what superseded their bytes is not durable."""

SCENARIOS = {
    "namespace": NAMESPACE,
    "data": DATA,
    "branches": BRANCHES,
    "lending": LENDING,
    "sealing": SEALING,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_kill_before_every_call_loses_nothing_acknowledged(
    name: str, shelf: IndexShelf, boot: Boot
) -> None:
    rig = new_workspace(RecordingStorage(shelf.directory()))
    states, moments = recorded(rig, SCENARIOS[name])
    rig.die()
    for moment in moments:
        try:
            judge_kill(moment, states, shelf)
        except BaseException as error:
            error.add_note(f"killed before {moment.call} {moment.path} in step {moment.step}")
            error.add_note(f"steps: {[state.name for state in states[1:]]}")
            raise


SHARES = 6
"""A power loss has many outcomes: shares of the moments keep each test short of its timeout."""


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENARIOS)
def test_power_loss_before_every_call_leaves_a_prefix_not_older_than_the_last_sync(
    name: str, share: int, shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    rig = new_workspace(RecordingStorage(shelf.directory()))
    states, moments = recorded(rig, SCENARIOS[name])
    rig.die()
    for number, moment in list(enumerate(moments))[share::SHARES]:
        for seed in range(number, number + (20 if is_long else 2)):
            boot.id = "boot-1"
            try:
                judge_power_loss(moment, states, shelf, boot, seed)
            except BaseException as error:
                where = f"{moment.call} {moment.path} in step {moment.step}"
                error.add_note(f"no power before {where}, seed {seed}")
                error.add_note(f"steps: {[state.name for state in states[1:]]}")
                raise
