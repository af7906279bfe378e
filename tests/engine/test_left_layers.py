"""A sync in a thread, and restores in the loop meanwhile: nothing is closed in its hands."""

import threading

from pyi_fs.engine import left_layers
from tests.support.engine_rig import opened, put, written


def test_a_restore_leaves_layers_open_that_a_sync_has_in_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(left_layers, "OPEN_MAX", 0)
    with opened(tmp_path / "store") as store, written(store, "w") as (workspace, branch):
        put(branch, b"a", b"1")
        first = workspace.snapshot(branch).snapshot
        put(branch, b"a", b"2")
        (writer,) = branch.writers()
        reached, go_on = threading.Event(), threading.Event()
        sync = writer.sync

        def slow_sync():
            reached.set()
            assert go_on.wait(10)
            return sync()

        monkeypatch.setattr(writer, "sync", slow_sync)
        thread = threading.Thread(target=branch.sync)
        thread.start()
        assert reached.wait(10)
        workspace.restore(branch, first.id)
        assert writer in branch.writers()
        go_on.set()
        thread.join(10)
        assert writer.is_synced
        branch.tidy()
        assert writer not in branch.writers()


def test_a_writer_closed_meanwhile_does_not_claim_to_be_synced(tmp_path):
    with opened(tmp_path / "store") as store, written(store, "w") as (_, branch):
        put(branch, b"a", b"1")
        (writer,) = branch.writers()
        position = branch.position
        branch.close()
        assert not writer.sync()
        store.layers.sync(position)
