"""What is in a small file goes to the kernel when it is opened, if nobody has it open."""

import os

import pytest

from pyi_fs.errors import CorruptSegmentError
from pyi_fs.fuse.prefill import PREFILL_BYTES_MAX, Prefill
from pyi_fs.ids import NodeId
from pyi_fs.model.inode import with_fields
from tests.support.fuse_rig import OWNER, ROOT
from tests.support.mounting import mounted

READ, WRITE = os.O_RDONLY, os.O_WRONLY


async def made(rig, name="f", data=b"content"):
    """Returns the node of a file that nobody has open."""
    await rig.write(name, data)
    return rig.node(name)


def opened(rig, node, flags=READ):
    """Returns the handle of a file that is opened."""
    return rig.files.open(node, flags, OWNER)


async def test_what_is_in_a_file_is_given_once_while_the_kernel_knows_it(rig):
    node = await made(rig)
    for _ in range(2):
        rig.reaper.release(opened(rig, node))
    assert rig.kernel.stored == [(node, b"content")]
    assert rig.state.prefill.given_count == 1
    rig.reaper.forget([(node, 1 << 20)])
    assert rig.state.prefill.given_count == 0
    rig.reaper.release(opened(rig, rig.node("f")))
    assert len(rig.kernel.stored) == 2


async def test_nothing_is_put_into_what_is_open(rig):
    # A page whose read waits for us is locked: to wait for it would be for ever.
    node = await made(rig)
    writer = opened(rig, node, WRITE)
    reader = opened(rig, node)
    assert rig.kernel.stored == []
    rig.reaper.release(writer)
    opened(rig, node)
    assert rig.kernel.stored == []
    for handle in (reader, *(one.id for one in list(rig.state.handles.files(node)))):
        rig.state.handles.remove(handle)
    opened(rig, node)
    assert rig.kernel.stored == [(node, b"content")]


@pytest.mark.parametrize(("size", "is_given"), [(4096, 0), (8192, 0), (4095, 1), (5000, 1)])
async def test_whole_pages_of_what_was_made_here_are_there_already(rig, size, is_given):
    # Of a page that was not filled by one write the kernel asks for the rest.
    await rig.write("f", b"x" * size)
    node = rig.node("f")
    rig.reaper.release(opened(rig, node))
    assert len(rig.kernel.stored) == is_given
    assert rig.state.prefill.made_count == 1
    rig.reaper.forget([(node, 1 << 20)])
    assert rig.state.prefill.made_count == 0
    opened(rig, rig.node("f"))
    assert len(rig.kernel.stored) == is_given + 1


@pytest.mark.parametrize("flags", [WRITE, os.O_RDWR, READ | os.O_TRUNC, READ | os.O_DIRECT])
async def test_who_does_not_only_read_pages_is_given_nothing(rig, flags):
    opened(rig, await made(rig), flags)
    assert rig.kernel.stored == []


@pytest.mark.parametrize(
    ("size", "is_given"), [(0, 0), (1, 1), (PREFILL_BYTES_MAX - 1, 1), (PREFILL_BYTES_MAX + 1, 0)]
)
async def test_small_files_only(rig, size, is_given):
    node = await made(rig, data=b"x" * size)
    opened(rig, node)
    assert [len(data) for _, data in rig.kernel.stored] == [size] * is_given


async def test_nothing_with_the_writeback_cache(rig):
    # The kernel's own pages may be newer than what we have.
    node = await made(rig)

    async def flush():
        """Nothing."""

    rig.state.flush_kernel = flush
    opened(rig, node)
    assert rig.kernel.stored == []


async def test_what_is_not_at_hand_is_asked_for_and_given_another_time(rig):
    node = await made(rig)
    inode = rig.session.root.tree.existing(node)
    for at_hand in (None, b"cont"):
        prefill = Prefill(rig.state.handles, lambda *_, data=at_hand: data, rig.kernel.store)
        prefill.opening(node, inode, READ)
        assert (rig.kernel.stored, prefill.given_count) == ([], 0)


@pytest.mark.parametrize("error", [OSError(5, "no"), CorruptSegmentError("scratch", 0, 4)])
async def test_what_cannot_be_read_can_be_opened(rig, error):
    """As before there was any of this: who reads the damaged part is told."""

    def damaged(*_):
        raise error

    node = await made(rig)
    prefill = Prefill(rig.state.handles, damaged, rig.kernel.store)
    prefill.opening(node, rig.session.root.tree.existing(node), READ)
    assert (rig.kernel.stored, prefill.given_count) == ([], 0)


def test_files_that_are_forgotten_leave_nothing_behind(rig):
    number = rig.make(ROOT, "f")
    inode = rig.session.root.tree.existing(number)
    prefill = Prefill(rig.state.handles, lambda *_: b"x", rig.kernel.store)
    nodes = [NodeId(number) for number in (64, 65, 127, 128, 1 << 41)]
    for node in nodes:
        prefill.opening(node, with_fields(inode, size=1), READ)
    assert prefill.given_count == len(nodes)
    for node in (*nodes, NodeId(7)):
        prefill.forgotten(node)
    assert prefill.given_count == 0


@pytest.mark.mount
@pytest.mark.slow
def test_what_is_given_is_what_is_read(tmp_path):
    """On a real mount: sizes about pages, and what changes a file by its name afterwards."""
    with mounted(tmp_path) as mount:
        for size in (1, 4095, 4096, 4097, 60_000, PREFILL_BYTES_MAX, PREFILL_BYTES_MAX + 1):
            path, data = mount.path / f"f{size}", os.urandom(size)
            path.write_bytes(data)
            assert path.read_bytes() == data
            os.truncate(path, size // 2)
            assert path.read_bytes() == data[: size // 2]
            os.truncate(path, size)
            assert path.read_bytes() == data[: size // 2] + bytes(size - size // 2)
            with path.open("ab") as file:
                file.write(b"more")
            assert path.read_bytes()[size:] == b"more"
