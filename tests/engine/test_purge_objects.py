"""Tree objects with a file in them, and the same without."""

from pathlib import Path

from blake3 import blake3

from pyi_fs.engine.history import History
from pyi_fs.engine.purge_files import Files, find
from pyi_fs.engine.purge_objects import Rewriter, Sighting, path_text, sightings
from pyi_fs.engine.purge_rewrite import blank_entry
from pyi_fs.engine.store import Store
from pyi_fs.format.treeobject import FileContent, TreeEntry, decode_tree_object
from pyi_fs.ids import ChunkId, TreeObjectId, WorkspaceName
from tests.support.engine_rig import noise, opened, put, written
from tests.support.purge_rig import seal_all_snapshots

BLANK = FileContent(500, ((ChunkId(blake3(bytes(500)).digest()), 500),))


def filled(store: Store) -> list[Sighting]:
    """Two sealed snapshots; the second has the file under another name."""
    with written(store, "job") as (workspace, branch):
        put(branch, b"d/env", noise(500, "env"))
        put(branch, b"e/same", noise(600, "same"))
        workspace.snapshot(branch)
        put(branch, b"d/more", b"x")
        workspace.snapshot(branch)
    seal_all_snapshots(store, "job")
    history = History(store.layers)
    files = Files(store, history)
    wanted = find(store, files, history, WorkspaceName("job"), [b"d/env"])
    return sightings(files, history, wanted, (), lambda _: BLANK)


def entries(store: Store, object_id: TreeObjectId) -> dict[bytes, TreeEntry]:
    data = store.chunks.get(ChunkId(object_id))
    return {entry.name: entry for entry in decode_tree_object(data, object_id)}


def test_a_snapshot_is_sighted_with_the_paths_it_has(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        seen = filled(store)
        assert [sighting.paths for sighting in seen] == [(b"d/env",), (b"d/env",)]
        assert [str(sighting)[:6] for sighting in seen] == ["job@1-", "job@2-"]
        assert [sighting.contents for sighting in seen] == [((b"d/env", BLANK),)] * 2


def test_only_objects_above_the_file_become_others(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        seen = filled(store)
        rewriter = Rewriter(store, blank_entry, store.chunks.put)
        roots = [rewriter.root(sighting) for sighting in seen]
        store.chunks.flush()
        assert len(set(roots)) == 2
        for sighting, root in zip(seen, roots, strict=True):
            assert sighting.root is not None
            assert root not in (None, sighting.root)
            before, after = entries(store, sighting.root), entries(store, root)
            assert before[b"e"] == after[b"e"]
            inside = entries(store, TreeObjectId(after[b"d"].content))
            assert inside[b"env"].content == BLANK
            kept = entries(store, TreeObjectId(before[b"d"].content))
            assert {**inside, b"env": 0} == {**kept, b"env": 0}


def test_looking_stores_nothing_and_says_the_same(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        seen = filled(store)
        looked = [Rewriter(store, blank_entry).root(sighting) for sighting in seen]
        assert not store.index.known([ChunkId(root) for root in looked if root is not None])
        rewriter = Rewriter(store, blank_entry, store.chunks.put)
        assert [rewriter.root(sighting) for sighting in seen] == looked


def test_what_has_the_file_already_as_it_will_be_stays(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        seen = filled(store)
        for sighting in seen:
            assert sighting.root is not None
            inside = entries(store, TreeObjectId(entries(store, sighting.root)[b"d"].content))
            same = sighting._replace(contents=((b"d/env", inside[b"env"].content),))
            assert Rewriter(store, blank_entry).root(same) == sighting.root
            elsewhere = sighting._replace(paths=(), contents=())
            assert Rewriter(store, blank_entry).root(elsewhere) == sighting.root


def test_other_files_that_lose_bytes_are_told_by_their_paths(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        filled(store)
        history = History(store.layers)
        files = Files(store, history)
        wanted = find(store, files, history, WorkspaceName("job"), [b"d/env"])
        losing = find(store, files, history, WorkspaceName("job"), [b"e/same"])
        for sighting in sightings(files, history, wanted, losing, lambda _: BLANK):
            assert sighting.paths == (b"d/env",)
            assert dict(sighting.contents) == {b"d/env": BLANK, b"e/same": BLANK}


def test_a_path_for_people_is_one_line() -> None:
    assert path_text("a/ä\n\xff".encode("latin1")) == "a/\\xe4\\n\\xff"
