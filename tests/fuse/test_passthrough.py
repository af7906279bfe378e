"""What is passed through, what is not, and how long the kernel's ids live."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from pyi_fs import limits
from pyi_fs.engine.gc_settings import write_settings
from pyi_fs.engine.materialising import Materialiser
from pyi_fs.engine.workspace import Workspace
from pyi_fs.fuse.direct_opens import Opens
from pyi_fs.fuse.direct_requests import Caller, Later
from pyi_fs.fuse.passthrough import Passthrough
from pyi_fs.fuse.protocol import Opcode, OpenFlag
from pyi_fs.ids import NodeId, WorkspaceName
from tests.support.engine_rig import noise, opened
from tests.support.fuse_rig import Rig
from tests.support.fuse_structs import OpenOut
from tests.support.plain_rig import ANY_ROOM, plain_paths, sealed

DATA = noise(300_000, "data")
ROOT = Caller(0, 0)
PASSED = OpenFlag.PASSTHROUGH.value
PASSED_DIRECT = (OpenFlag.PASSTHROUGH | OpenFlag.DIRECT_IO).value
ORDINARY = OpenFlag.KEEP_CACHE.value


class NotingBackings:
    """A kernel that gives ids, and notes which are open."""

    def __init__(self) -> None:
        self.open_now: dict[int, str] = {}
        self.refuses: OSError | None = None
        self._last = 0

    def open(self, path: str) -> int:
        if self.refuses is not None:
            raise self.refuses
        os.stat(path)
        self._last += 1
        self.open_now[self._last] = path
        return self._last

    def close(self, backing: int) -> None:
        del self.open_now[backing]


class Passing(Rig):
    """Handlers with passthrough, on a workspace `w` whose newest snapshot is sealed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.backings = NotingBackings()
        self.passthrough = Passthrough(self.state, self.backings)
        self.passthrough.is_on = True
        self.table = Opens(self.handlers, self.passthrough).table
        self.snapshot_id = self.workspace.refs.ordered()[-1].id

    def old(self, name: str) -> NodeId:
        """Returns the node of a file of the snapshot."""
        return self.node(f".pyi/snapshots/{self.snapshot_id}/{name}")

    async def ask_open(self, node: NodeId, flags: int = os.O_RDONLY) -> Any:
        """Returns the answer to an OPEN, waited for if need be."""
        answer = self.table[Opcode.OPEN](node, ROOT, flags.to_bytes(8, "little"))
        if isinstance(answer, Later):
            answer = await answer.body()
        assert isinstance(answer, bytes)
        return OpenOut.from_buffer_copy(answer)

    def release(self, opened_file: Any) -> None:
        """Closes what was opened."""
        self.table[Opcode.RELEASE](NodeId(0), ROOT, bytes(OpenOut(opened_file.fh, 0, 0)) + bytes(8))


@pytest.fixture
def store(tmp_path):
    with opened(tmp_path / "store") as store:
        sealed(store, (b"f", DATA), (b"g", noise(400_000, "g")), (b"small", b"small" * 100))
        write_settings(store.storage, ANY_ROOM)
    return tmp_path / "store"


@pytest.fixture
def idle(store):
    """Gives the handlers; nobody makes plain files."""
    rig = Passing(store)
    yield rig
    rig.close()


@pytest.fixture
async def rig(idle, nursery):
    """Gives the handlers, with the threads that make plain files."""
    nursery.start_soon(idle.passthrough.run)
    yield idle
    nursery.cancel_scope.cancel()


async def eventually_passed(rig: Passing, node: NodeId) -> Any:
    """Returns the answer to the first open of a node that is passed through."""
    with trio.fail_after(60):
        while not (answer := await rig.ask_open(node)).backing_id:
            rig.release(answer)
            await trio.testing.wait_all_tasks_blocked()
    return answer


def how(answer: Any) -> tuple[int, int]:
    return answer.open_flags, answer.backing_id


async def test_a_file_of_a_snapshot_is_passed_through_from_its_first_open(rig):
    first = await rig.ask_open(rig.old("f"))
    assert how(first) == (PASSED, 1)
    assert list(rig.backings.open_now.values()) == [str(plain_paths(rig.store.path)[0])]
    assert plain_paths(rig.store.path)[0].read_bytes() == DATA
    assert rig.passthrough.open_count == 1


async def test_all_opens_of_a_node_have_one_id_that_goes_with_the_last(rig):
    node = rig.old("f")
    first, second = await rig.ask_open(node), await rig.ask_open(node)
    assert how(first) == how(second) == (PASSED, 1)
    rig.release(first)
    third = await rig.ask_open(node)
    assert how(third) == (PASSED, 1)
    rig.release(second)
    assert rig.backings.open_now.keys() == {1}
    rig.release(third)
    assert rig.backings.open_now == {}
    assert how(await rig.ask_open(node)) == (PASSED, 2)


async def test_the_live_file_beside_it_is_not(rig):
    """Its reader would keep the old bytes when somebody writes."""
    reader = await rig.ask_open(rig.old("f"))
    live = rig.node("f")
    assert rig.passthrough.prepare(live, os.O_RDONLY) is None
    assert how(await rig.ask_open(live)) == (ORDINARY, 0)
    assert how(await rig.ask_open(live, os.O_RDWR)) == (ORDINARY, 0)
    rig.release(reader)


async def test_a_branch_that_another_process_holds_is_not(rig, store):
    """It shows a snapshot, read-only; but it may be ours to write at the next look."""
    rig.workspace.make_branch("side", rig.workspace.find_snapshot(rig.snapshot_id))
    with opened(store) as other:
        workspace = Workspace(other, WorkspaceName("w"), holder="another mount")
        workspace.open_branch("side")
        node = rig.node(".pyi/branches/side/f")
        view = rig.state.nodes.place(node).view
        assert (view.branch, view.read_only) == (None, True)
        assert how(await rig.ask_open(node)) == (ORDINARY, 0)
        workspace.close()


async def test_writing_is_refused_before_and_after(rig):
    node = rig.old("f")
    for _ in range(2):
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
            with pytest.raises(Exception, match="read-only"):
                await rig.ask_open(node, flags)
        assert how(await rig.ask_open(node)) == (PASSED, 1)
    assert rig.passthrough.open_count == 2


@pytest.mark.parametrize("name", ["small", "f"])
async def test_what_is_too_small_or_too_large_is_not(rig, name, monkeypatch):
    if name == "f":
        monkeypatch.setattr(limits, "PLAIN_FILE_BYTES_MAX", len(DATA) - 1)
    assert rig.passthrough.prepare(rig.old(name), os.O_RDONLY) is None
    assert how(await rig.ask_open(rig.old(name))) == (ORDINARY, 0)
    assert plain_paths(rig.store.path) == []


async def test_a_node_that_is_open_the_ordinary_way_stays_so_until_it_is_closed(rig):
    node = rig.old("f")
    direct = await rig.ask_open(node, os.O_DIRECT)
    assert how(direct) == (ORDINARY, 0)
    other = await rig.ask_open(node)
    assert how(other) == (ORDINARY, 0)
    rig.release(direct)
    assert how(await rig.ask_open(rig.old("g"))) == (PASSED, 1)
    rig.release(other)
    assert how(await rig.ask_open(node)) == (PASSED, 2)


async def test_direct_reads_beside_a_passed_open_come_to_us(rig):
    node = rig.old("f")
    first = await rig.ask_open(node)
    direct = await rig.ask_open(node, os.O_DIRECT)
    assert how(direct) == (PASSED_DIRECT, 1)
    rig.release(first)
    assert rig.backings.open_now.keys() == {1}
    rig.release(direct)
    assert rig.backings.open_now == {}


async def test_a_kernel_that_refuses_is_asked_no_more(rig, caplog):
    node = rig.old("f")
    passed = await rig.ask_open(node)
    rig.backings.refuses = PermissionError(errno.EPERM, "not you")
    assert how(await rig.ask_open(rig.old("g"))) == (ORDINARY, 0)
    assert not rig.passthrough.is_on
    rig.backings.refuses = None
    for name in ("g", "small"):
        assert how(await rig.ask_open(rig.old(name))) == (ORDINARY, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    # What is open has to go on as it is.
    second = await rig.ask_open(node)
    assert how(second) == (PASSED, 1)
    for one in (passed, second):
        rig.release(one)
    assert rig.backings.open_now == {}
    assert how(await rig.ask_open(node)) == (ORDINARY, 0)


async def test_a_lack_of_descriptors_is_not_for_ever(rig, caplog):
    rig.backings.refuses = OSError(errno.EMFILE, "too many")
    node = rig.old("f")
    first = await rig.ask_open(node)
    assert how(first) == (ORDINARY, 0)
    assert caplog.records == []
    rig.backings.refuses = None
    rig.release(first)
    assert how(await rig.ask_open(node)) == (PASSED, 1)


async def test_an_evicted_file_is_made_again_by_the_next_open(rig):
    node = rig.old("f")
    rig.release(await rig.ask_open(node))
    (path,) = plain_paths(rig.store.path)
    path.unlink()
    second = await rig.ask_open(node)
    assert how(second) == (ORDINARY, 0)
    rig.release(second)
    assert how(await rig.ask_open(node)) == (PASSED, 2)
    assert path.read_bytes() == DATA


async def test_opens_at_once_wait_for_one_file(rig):
    node, found = rig.old("f"), []

    async def ask() -> None:
        found.append(how(await rig.ask_open(node)))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert found == [(PASSED, 1)] * 5


async def test_an_open_waits_no_longer_than_it_may(rig, monkeypatch):
    """Then it is ordinary; the thread goes on, and a later open finds the file."""
    monkeypatch.setattr(limits, "PLAIN_WAIT_SECONDS", 0.01)
    may_go, materialise = threading.Event(), Materialiser.plain

    def slow(*arguments):
        assert may_go.wait(60)
        return materialise(*arguments)

    monkeypatch.setattr(Materialiser, "plain", slow)
    node = rig.old("f")
    first = await rig.ask_open(node)
    assert how(first) == (ORDINARY, 0)
    may_go.set()
    rig.release(first)
    assert how(await eventually_passed(rig, node)) == (PASSED, 1)


async def test_where_one_has_waited_in_vain_the_others_do_not_wait(idle, monkeypatch, nursery):
    """A lock may be held by a process that was stopped; each open would wait for it in turn."""
    monkeypatch.setattr(limits, "PLAIN_WAIT_SECONDS", 0.01)
    first = await idle.ask_open(idle.old("f"))
    assert how(first) == (ORDINARY, 0)
    monkeypatch.setattr(limits, "PLAIN_WAIT_SECONDS", 600)
    with trio.fail_after(60):
        second = await idle.ask_open(idle.old("g"))
    assert how(second) == (ORDINARY, 0)
    for one in (first, second):
        idle.release(one)
    # Both were asked for, and are there when somebody has made them.
    nursery.start_soon(idle.passthrough.run)
    for name in ("f", "g"):
        await eventually_passed(idle, idle.old(name))
    nursery.cancel_scope.cancel()


async def test_who_dies_while_waiting_leaves_nothing_open(idle):
    """Nobody makes plain files here, so the open waits until it is given up."""
    answer = idle.table[Opcode.OPEN](idle.old("f"), ROOT, bytes(8))
    assert isinstance(answer, Later)
    assert answer.is_read
    with trio.move_on_after(0.01) as scope:
        await answer.body()
    assert scope.cancelled_caught
    assert list(idle.state.handles.open_files()) == []


async def test_what_is_not_sealed_yet_is_looked_at_again(rig, monkeypatch):
    made, results = Materialiser.plain, [None]

    def plain(*arguments):
        return results.pop() if results else made(*arguments)

    monkeypatch.setattr(Materialiser, "plain", plain)
    node = rig.old("f")
    for _ in range(2):
        opened_file = await rig.ask_open(node)
        assert how(opened_file) == (ORDINARY, 0)
        rig.release(opened_file)
    monkeypatch.setattr(limits, "PLAIN_LOOK_SECONDS", -1)
    rig.passthrough._known.clear()  # noqa: SLF001 - as if a minute had passed
    assert how(await rig.ask_open(node)) == (PASSED, 1)


async def test_a_mistake_of_ours_is_told_and_no_open_fails(rig, monkeypatch, caplog):
    monkeypatch.setattr(Materialiser, "plain", lambda *_: 1 // 0)
    assert how(await rig.ask_open(rig.old("f"))) == (ORDINARY, 0)
    assert "BUG: a plain file" in caplog.text
    monkeypatch.undo()
    assert how(await rig.ask_open(rig.old("g"))) == (PASSED, 1)


async def test_a_file_in_use_is_noted_so(rig, monkeypatch):
    monkeypatch.setattr(limits, "PLAIN_LOOK_SECONDS", -1)
    node = rig.old("f")
    first = await rig.ask_open(node)
    (path,) = plain_paths(rig.store.path)
    os.utime(path, (1, 1))
    rig.release(first)
    await rig.ask_open(node)
    assert path.stat().st_mtime > 1


async def test_what_is_remembered_is_bounded(rig, monkeypatch):
    monkeypatch.setattr(limits, "PLAIN_KNOWN_MAX", 1)
    for _ in range(2):
        for name in ("f", "g"):
            rig.release(await rig.ask_open(rig.old(name)))
    assert len(rig.passthrough._known) == 1  # noqa: SLF001 - that is the bound
    assert rig.backings.open_now == {}


async def test_more_than_can_wait_are_opened_the_ordinary_way(idle):
    """Nobody makes any here."""
    idle.passthrough._send, _ = trio.open_memory_channel(0)  # noqa: SLF001
    assert how(await idle.ask_open(idle.old("f"))) == (ORDINARY, 0)


async def test_a_snapshot_that_is_deleted_leaves_its_readers_as_they_are(rig):
    node = rig.old("f")
    reader = await rig.ask_open(node)
    rig.session.delete_snapshot(rig.snapshot_id)
    assert how(await rig.ask_open(node)) == (PASSED, 1)
    with pytest.raises(Exception, match="read-only"):
        await rig.ask_open(node, os.O_RDWR)
    assert reader.backing_id == 1
    assert rig.backings.open_now.keys() == {1}


async def test_restore_of_the_live_tree_is_nothing_to_readers_of_a_snapshot(rig):
    reader = await rig.ask_open(rig.old("f"))
    writer = rig.open(rig.node("f"), os.O_RDWR)
    await rig.files.write(writer, 0, b"new")
    await rig.command("restore", rig.snapshot_id)
    assert await rig.read("f") == DATA
    assert how(await rig.ask_open(rig.old("f"))) == how(reader) == (PASSED, 1)
    orphan = rig.state.handles.file(writer)
    assert orphan.backing == 0


def test_releasing_what_is_not_open_is_answered(idle):
    assert idle.table[Opcode.RELEASE](NodeId(1), ROOT, (99).to_bytes(24, "little")) == b""
