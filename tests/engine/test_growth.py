"""What a store grows by for small changes of large files: bytes of its files, but for the index.

SQLite says itself when its pages go to disk; the rows are some 100 bytes a chunk.
"""

from itertools import pairwise
from pathlib import Path

from pyi_fs import limits
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.sealing import resolved
from pyi_fs.engine.store import Store
from pyi_fs.ids import InodeNumber, WorkspaceName
from pyi_fs.model import extent
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import collect, seal_everything
from tests.support.purge_rig import roots_are_right

SIZE = 32 << 20


def kept(store: Store, name: str = "a") -> int:
    """Takes a named snapshot, seals everything; returns the bytes of the store's files."""
    with written(store, name) as (workspace, branch):
        taken = workspace.snapshot(branch, name=f"s{len(workspace.refs.snapshots)}").snapshot
    seal_everything(store)
    seal_snapshots(store, WorkspaceName(name), [taken.id])
    return sum(
        path.stat().st_size
        for path in store.path.rglob("*")
        if path.is_file() and not path.name.startswith("index.sqlite")
    )


def number_of(branch: Branch) -> InodeNumber:
    return branch.tree.resolve(b"large")


def edit(store: Store, *places: int, data: bytes = b"edited") -> None:
    with written(store, "a") as (_, branch):
        for place in places:
            branch.write(number_of(branch), place, data, 1)


def begun(store: Store) -> tuple[bytes, int]:
    """Makes the large file; returns its bytes, and what is kept by then."""
    content = noise(SIZE)
    with written(store, "a") as (_, branch):
        put(branch, b"large", content)
    return content, kept(store)


def test_sixteen_edits_of_a_large_file(tmp_path: Path) -> None:
    """The work of the bench, whose target is 256 KiB; 16 chunks anew were 1.2 MB."""
    with opened(tmp_path / "store") as store:
        content, before = begun(store)
        places = [index * 2_000_003 for index in range(16)]
        edit(store, *places)
        # A tree object that names all chunks of the file, a map, records, a chunk of six bytes.
        assert kept(store) - before <= 24 << 10
        expected = bytearray(content)
        for place in places:
            expected[place : place + 6] = b"edited"
        with written(store, "a") as (workspace, branch):
            assert branch.read(number_of(branch), 0, SIZE) == expected
            first = workspace.snapshot_tree(workspace.refs.ordered()[0])
            inode = first.existing(first.resolve(b"large"))
            assert workspace.reader.read_all(inode) == content
        assert check_store(store, verify_data=True) == []
        assert roots_are_right(store)


def test_ten_bytes_before_a_large_file_that_is_written_anew(tmp_path: Path) -> None:
    """All chunks are found again, the first but for ten bytes; two lists name all of them."""
    with opened(tmp_path / "store") as store:
        content, before = begun(store)
        with written(store, "a") as (_, branch):
            put(branch, b"large", b"0123456789" + content)
        assert kept(store) - before <= 56 << 10
        assert check_store(store, verify_data=True) == []


def test_a_file_written_anew_again_and_again_grows_a_store_by_its_changes(tmp_path: Path) -> None:
    """As an editor saves it. Every fifth version is whole again, which bounds the pieces."""
    with opened(tmp_path / "store") as store:
        versions = [noise(60_000)]
        for index in range(12):
            place = (index * 7_919) % 50_000
            old = versions[-1]
            versions.append(old[:place] + b"line %d\n" % index + old[place + 3 :])
        sizes = []
        for data in versions:
            with written(store, "a") as (_, branch):
                put(branch, b"large", data)
            sizes.append(kept(store))
        grown = [other - one for one, other in pairwise(sizes)]
        assert sorted(grown)[7] <= 2_500, grown
        assert sum(grown) <= 4 * 62_000
        with written(store, "a") as (workspace, branch):
            for snapshot, data in zip(workspace.refs.ordered(), versions, strict=True):
                tree = workspace.snapshot_tree(snapshot)
                inode = tree.existing(tree.resolve(b"large"))
                assert workspace.reader.read_all(inode) == data
                pieces = extent.count(resolved(store, inode.extents))
                assert pieces <= limits.PATCH_PIECES_MAX + 1
            for snapshot in workspace.refs.ordered()[:-1]:
                workspace.delete_snapshot(snapshot.id)
        assert check_store(store, verify_data=True) == []
        assert roots_are_right(store)
        collect(store)
        with written(store, "a") as (_, branch):
            assert branch.read(number_of(branch), 0, 99_999) == versions[-1]
        # What is left of older versions is what the last one has of them, and their chunks.
        stored = sum(path.stat().st_size for path in store.path.glob("packs/*/*"))
        assert stored <= 2 * 60_000 + (4 << 10)
        assert check_store(store, verify_data=True) == []


def test_edits_of_one_place_grow_by_what_they_write_and_leave_nothing_behind(
    tmp_path: Path,
) -> None:
    """A page that is written again and again: one more extent, whatever the number of times."""
    with opened(tmp_path / "store") as store:
        content = noise(2 << 20)
        with written(store, "a") as (_, branch):
            put(branch, b"large", content)
        sizes = [kept(store)]
        for index in range(12):
            edit(store, 700_000, data=noise(4096, f"{index}"))
            sizes.append(kept(store))
        for one, other in pairwise(sizes[1:]):
            assert other - one <= 8 << 10
        with written(store, "a") as (workspace, branch):
            extents = branch.tree.existing(number_of(branch)).extents
            assert extent.count(extents) <= 5
            for snapshot in workspace.refs.ordered()[1:-1]:
                workspace.delete_snapshot(snapshot.id)
        collect(store)
        with written(store, "a") as (_, branch):
            data = branch.read(number_of(branch), 0, len(content))
        assert data[:700_000] == content[:700_000]
        assert data[700_000:704_096] == noise(4096, "11")
        assert data[704_096:] == content[704_096:]
        assert check_store(store, verify_data=True) == []
        assert roots_are_right(store)


def test_pages_written_at_random_grow_a_store_by_their_bytes(tmp_path: Path) -> None:
    """As a database does: each page was a chunk of 64 KiB and more for each named snapshot."""
    with opened(tmp_path / "store") as store:
        pages = 2048
        with written(store, "a") as (_, branch):
            put(branch, b"large", noise(pages * 4096))
        size = kept(store)
        for round_number in range(3):
            order = [(index * 1201 + round_number * 577) % pages for index in range(128)]
            with written(store, "a") as (_, branch):
                for page in order:
                    data = noise(4096, f"{round_number} {page}")
                    branch.write(number_of(branch), page * 4096, data, 1)
            before, size = size, kept(store)
            # A page, its entry in a pack and in a map, its record; and the tree object.
            assert size - before <= 128 * (4096 + 300) + (16 << 10)
        with written(store, "a") as (_, branch):
            extents = branch.tree.existing(number_of(branch)).extents
            assert extent.count(extents) <= 2 * 3 * 128 + 2
        assert check_store(store, verify_data=True) == []
        assert roots_are_right(store)
