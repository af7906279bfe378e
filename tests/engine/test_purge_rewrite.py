"""What files become: every record in its place and as long as it was."""

from pathlib import Path

import pytest
from xxhash import xxh3_64_intdigest

from pyi_fs import limits
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.purge_rewrite import (
    Replacement,
    blank_entry,
    blank_inode,
    new_journal,
    new_map,
    new_table,
)
from pyi_fs.engine.store import Store
from pyi_fs.format.record import frames
from pyi_fs.format.table import Table
from pyi_fs.format.treeobject import TreeEntry
from pyi_fs.ids import ROOT_INODE, ChunkId, InodeNumber, LayerId, Position
from pyi_fs.model import extent
from pyi_fs.model.extent import CHUNK, Extent
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Create, SetXattr, Share, Write
from pyi_fs.model.tree import over
from pyi_fs.store import layout, sealmap
from pyi_fs.store.journal import journal_seed, replay
from tests.support.engine_rig import noise, opened, put, written

OLD, NEW = ChunkId(b"o" * 32), ChunkId(b"n" * 32)
NOTHING = Replacement({}, {})


def ends(data: bytes, layer: LayerId) -> list[int]:
    return [end for end, _ in frames(data, journal_seed(layer))]


def journal_of_everything(store: Store) -> tuple[LayerId, InodeNumber, InodeNumber]:
    """Returns a layer, a file with a bit of everything, and another one."""
    with written(store, "job") as (_, branch):
        number = put(branch, b"env", noise(150_000))
        branch.commit(SetXattr(number, b"user.a", b"secret", 1))
        branch.commit(SetXattr(number, b"system.b", b"kernel", 1))
        other = put(branch, b"other", noise(1000))
        branch.commit(SetXattr(other, b"user.a", b"public", 1))
        pieces = [Extent(0, 10, CHUNK, OLD, 5), Extent(20, 10, CHUNK, b"k" * 32, 0)]
        branch.commit(Share(other, 0, 30, extent.from_extents(pieces), 1))
        link = branch.next_inode()
        branch.commit(Create(ROOT_INODE, b"link", link, 0o120777, 0, 0, 1, b"secret"))
        return branch.position.layer, number, link


def rewritten(store: Store, layer: LayerId, *wanted: InodeNumber, replaced: Replacement):
    """Writes a journal anew; returns its mutations before and after."""
    before = list(replay(store.storage, layer, 0))
    old = store.storage.read(layout.journal(layer))
    journal = new_journal(store.storage, layer, lambda number: number in wanted, replaced)
    assert journal is not None
    assert ends(journal.data, layer) == ends(old, layer)
    store.storage.write_atomic(layout.journal(layer), [journal.data])
    after = list(replay(store.storage, layer, 0))
    assert [end for end, _ in before] == [end for end, _ in after]
    assert journal.records == sum(a != b for a, b in zip(before, after, strict=True))
    return [one for _, one in before], [one for _, one in after]


def test_records_of_the_file_change_and_keep_their_places(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        layer, number, link = journal_of_everything(store)
        (segment,) = store.layers.segments(layer)
        replaced = Replacement({segment: ((0, 150_000),)}, {OLD: NEW})
        before, after = rewritten(store, layer, number, link, replaced=replaced)
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        kinds = [type(b).__name__ for _, b in changed]
        assert kinds == ["Write", "SetXattr", "Share", "Create"]
        (_, write), (_, xattr), (_, share), (_, create) = changed
        lengths = [65536, 65536, 150_000 - 131072]
        zeros = [xxh3_64_intdigest(bytes(one)).to_bytes(8, "little") for one in lengths]
        assert isinstance(write, Write)
        assert write.checksums == b"".join(zeros)
        assert xattr.value == bytes(6)
        assert [one.chunk for one in extent.iterate(share.extents)] == [NEW, b"k" * 32]
        assert create.target == b"------"


def test_a_run_that_is_not_all_zeros_keeps_its_checksum(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        layer, number, _ = journal_of_everything(store)
        (segment,) = store.layers.segments(layer)
        half = limits.RUN_BYTES_MAX + 100
        before, after = rewritten(
            store, layer, number, replaced=Replacement({segment: ((0, half),)}, {})
        )
        (old,) = [one for one in before if isinstance(one, Write) and one.number == number]
        (new,) = [one for one in after if isinstance(one, Write) and one.number == number]
        assert new.checksums[:8] != old.checksums[:8]
        assert new.checksums[8:] == old.checksums[8:]


def test_nothing_to_change_is_none_and_a_torn_tail_goes_only_with_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        layer, number, _ = journal_of_everything(store)
        path = layout.journal(layer)
        assert new_journal(store.storage, layer, lambda _: False, NOTHING) is None
        whole = store.storage.read(path)
        file = store.storage.open_append(path)
        file.append(b"\xff\x00\x00\x00torn secret")
        file.close()
        assert new_journal(store.storage, layer, lambda _: False, NOTHING) is None
        journal = new_journal(store.storage, layer, lambda one: one == number, NOTHING)
        assert journal is not None
        assert len(journal.data) == len(whole)


def test_a_table_and_a_map_name_other_chunks(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        layer, number, _ = journal_of_everything(store)
        with written(store, "job") as (_, branch):
            position = Position(layer, branch.position.offset)
            branch.roll()
            put(branch, b"f", b"x")
            top = branch.position.layer
            write_base(store, top, position)
        replaced = Replacement({}, {OLD: NEW})
        assert new_table(store.storage, layer, lambda _: True, replaced) is None
        assert new_table(store.storage, top, lambda _: False, NOTHING) is None
        parts = new_table(store.storage, top, lambda one: one == number, replaced)
        assert parts is not None
        table, old = Table(b"".join(parts)), Table(store.storage.read(layout.base(top)))
        assert sorted(table.numbers()) == sorted(old.numbers())
        assert over(table).existing(number).xattr(b"user.a") == bytes(6)
        assert over(table).existing(number).xattr(b"system.b") == b"kernel"
        other = over(table).existing(InodeNumber(number + 1))
        assert [one.chunk for one in extent.iterate(other.extents) if one.kind == CHUNK] == [
            NEW,
            b"k" * 32,
        ]
        segment = store.layers.segments(layer)[0]
        assert new_map(store.storage, segment, replaced) is None
        piece = Extent(7, 10, CHUNK, OLD, 3)
        store.storage.write_atomic(layout.seal_map(segment), [sealmap.encode([piece])])
        assert new_map(store.storage, segment, NOTHING) is None
        made = new_map(store.storage, segment, replaced)
        assert made == sealmap.encode([piece._replace(source=NEW)])


@pytest.mark.parametrize("mode", [0o100644, 0o120777, 0o040755])
def test_what_is_inline_becomes_as_much_of_nothing(mode: int) -> None:
    xattrs = ((b"security.c", b"kept"), (b"trusted.t", b"1234"), (b"user.a", b"secret"))
    blank = ((b"security.c", b"kept"), (b"trusted.t", bytes(4)), (b"user.a", bytes(6)))
    inode = Inode(mode, 1, 0, 0, 6, 0, 0, 0, 0, ROOT_INODE, b"n", target=b"secret", xattrs=xattrs)
    assert blank_inode(inode).xattrs == blank
    assert blank_inode(inode).target == b"------"
    entry = blank_entry(TreeEntry(b"n", mode, xattrs, b"secret"))
    assert entry.xattrs == blank
    assert entry.content == (b"------" if mode == 0o120777 else b"secret")
