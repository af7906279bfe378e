"""Where a file's bytes are, and who else has some."""

from pathlib import Path
from typing import Any

from pyi_fs.engine.history import History
from pyi_fs.engine.purge_bytes import Found, Search
from pyi_fs.engine.purge_files import Files, find
from pyi_fs.engine.store import Store
from pyi_fs.ids import InodeNumber, WorkspaceName
from pyi_fs.model import ranges
from pyi_fs.model.mutation import Share
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.purge_rig import places, purge


def found(store: Store, name: str, path: bytes) -> Found:
    history = History(store.layers)
    files = Files(store, history)
    wanted = find(store, files, history, WorkspaceName(name), [path])
    return Search(store, files, wanted, lambda _: None).run()


def test_all_that_was_ever_written_is_its_own(tmp_path: Path) -> None:
    """Also what was written over at once: 1,000 bytes twice, in one segment."""
    with opened(tmp_path / "store") as store, written(store, "job") as (_, branch):
        put(branch, b"first", noise(5000))
        put(branch, b"env", noise(1000, "a"))
        put(branch, b"env", noise(1000, "b"))
        (segment,) = store.layers.segments(branch.position.layer)
        result = found(store, "job", b"env")
        assert result.own == {segment: ((5000, 7000),)}
        assert result.others == {segment: ((0, 5000),)}
        assert result.holders == {}


def test_shared_extents_are_held_by_both(tmp_path: Path) -> None:
    """Whoever of the two wrote the bytes, and also if only a part was shared."""
    with opened(tmp_path / "store") as store, written(store, "job") as (_, branch):
        number = put(branch, b"env", noise(3000))
        copy = put(branch, b"copy", noise(100, "copy"))
        extents = branch.tree.existing(number).extents
        branch.commit(Share(copy, 100, 3000, extents, 1))
        (segment,) = store.layers.segments(branch.position.layer)
        result = found(store, "job", b"env")
        assert result.own[segment] == ((0, 3000),)
        assert result.others[segment] == ((0, 3100),)
        assert [(holder.number, count) for holder, count in result.holders.items()] == [
            (copy, 3000)
        ]
        result = found(store, "job", b"copy")
        assert result.own[segment] == ((0, 3100),)
        assert [(holder.number, count) for holder, count in result.holders.items()] == [
            (number, 3000)
        ]


def test_shared_extents_are_held_by_both_when_they_are_sealed(tmp_path: Path) -> None:
    """Both name the segment: its map is the only place that names the chunks."""
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            number = put(branch, b"env", noise(70_000))
            copy = put(branch, b"copy", b"")
            extents = branch.tree.existing(number).extents
            branch.commit(Share(copy, 0, 70_000, extents, 1))
            workspace.snapshot(branch)
        seal_everything(store)
        for path, other in ((b"env", copy), (b"copy", number)):
            result = found(store, "job", path)
            for source, own in result.own.items():
                assert ranges.without(own, result.others[source]) == ()
            assert {holder.number for holder in result.holders} == {other}
            assert sum(result.holders.values()) == 70_000
        purge(store, "job", b"env")
        with written(store, "job") as (_, branch):
            assert branch.read(copy, 0, 70_000) == noise(70_000)


def test_maps_name_chunks(tmp_path: Path) -> None:
    """Sealed along the neighbours in one file only: no chunk of it is anybody else's."""
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            put(branch, b"before", noise(70_000, "before"))
            put(branch, b"env", noise(70_000, "env"))
            put(branch, b"after", noise(70_000, "after"))
            workspace.snapshot(branch)
        seal_everything(store)
        result = found(store, "job", b"env")
        chunks = {source for source in result.own if isinstance(source, bytes)}
        assert sum(ranges.size(result.own[chunk]) for chunk in chunks) == 70_000
        for source, own in result.own.items():
            assert ranges.common(own, result.others.get(source, ranges.NOTHING)) == ()
        data = b"".join(store.chunks.get(chunk) for chunk in chunks)
        assert sorted(data) == sorted(noise(70_000, "env"))


class _Holder:
    """A mount in which one file is open."""

    def __init__(self, number: InodeNumber) -> None:
        self._number = number
        self.adopted: dict[InodeNumber, InodeNumber] = {}

    def orphans(self, *_: object) -> list[InodeNumber]:
        return [self._number]

    def published(self, *arguments: Any) -> None:
        self.adopted = arguments[-1]


def test_an_orphan_that_lived_on_is_the_same_file(tmp_path: Path) -> None:
    """Open when a restore took it: what its holder writes afterwards goes as well."""
    secret = noise(40, "secret").hex().encode()
    with opened(tmp_path / "store") as store:
        with written(store, "job") as (workspace, branch):
            put(branch, b"keep", b"1")
            workspace.snapshot(branch, name="start")
            number = put(branch, b"env", b"begun: " + secret)
            holder = branch.listener = _Holder(number)
            workspace.restore(branch, "start")
            branch.listener = None
            branch.write(holder.adopted[number], 100, b"more " + secret, 5)
            put(branch, b"later", b"2")
        assert len(places(store, secret)) == 2
        purge(store, "job", b"env")
        assert places(store, secret) == []
