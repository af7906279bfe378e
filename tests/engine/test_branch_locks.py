"""Who holds a branch: one writer, named to others; asking never keeps anybody out."""

import os

import pytest

from pyi_fs.engine.branch_locks import BranchLocks
from pyi_fs.errors import BusyError
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage

WORKSPACE = WorkspaceName("w")
MAIN = BranchName("main")


@pytest.fixture
def storage(tmp_path):
    storage = DirectoryStorage(tmp_path)
    storage.make_directory("workspaces/w/locks", parents=True)
    return storage


def test_a_branch_has_one_writer_who_is_named(storage):
    one, two = BranchLocks(storage, WORKSPACE), BranchLocks(storage, WORKSPACE)
    one.take(MAIN, "/mnt/a")
    with pytest.raises(BusyError, match=rf"in use: /mnt/a \(process {os.getpid()}\)"):
        two.take(MAIN, "/mnt/b")
    one.release(MAIN)
    assert two.holder(MAIN) is None
    two.take(MAIN, "")
    assert one.holder(MAIN) == f"a program (process {os.getpid()})"
    two.release(MAIN)


def test_two_may_ask_at_the_same_moment(storage):
    asking = storage.lock(layout.branch_lock(WORKSPACE, MAIN), exclusive=False, wait=False)
    assert BranchLocks(storage, WORKSPACE).holder(MAIN) is None
    asking.release()


def test_taking_goes_on_until_who_asks_is_done(storage):
    locks = BranchLocks(storage, WORKSPACE)
    asking = storage.lock(layout.branch_lock(WORKSPACE, MAIN), exclusive=False, wait=False)
    tries = []

    class Observed(DirectoryStorage):
        def lock(self, path, *, exclusive=True, wait=True):
            tries.append(exclusive)
            if tries.count(True) == 3:
                asking.release()
            return super().lock(path, exclusive=exclusive, wait=wait)

    observed = BranchLocks(Observed(storage.host_path("")), WORKSPACE)
    observed.take(MAIN, "x")
    assert tries.count(True) == 3
    assert locks.holder(MAIN) is not None
    observed.release(MAIN)


def test_a_lock_nobody_lets_go_of_is_refused_in_the_end(storage):
    asking = storage.lock(layout.branch_lock(WORKSPACE, MAIN), exclusive=False, wait=False)
    with pytest.raises(BusyError, match="another process"):
        BranchLocks(storage, WORKSPACE).take(MAIN, "x")
    asking.release()


def test_a_damaged_text_still_says_busy(storage):
    path = layout.branch_lock(WORKSPACE, MAIN)
    lock = storage.lock(path)
    lock.write_text("{not json")
    assert BranchLocks(storage, WORKSPACE).holder(MAIN) == "another process"
    lock.release()


def test_who_asks_makes_no_lock_and_who_makes_it_holds_none(storage):
    one, two = BranchLocks(storage, WORKSPACE), BranchLocks(storage, WORKSPACE)
    assert (one.holder(MAIN), one.exists(MAIN)) == (None, False)
    one.make(MAIN)
    assert two.exists(MAIN)
    two.take(MAIN, "x")
    one.make(MAIN)
    assert one.holder(MAIN) == f"x (process {os.getpid()})"
    two.release(MAIN)


def test_a_workspace_that_lost_the_directory_of_its_locks_gets_it_again(storage):
    storage.remove_directory("workspaces/w/locks")
    locks = BranchLocks(storage, WORKSPACE)
    locks.make(MAIN)
    locks.take(MAIN, "/mnt/a")
    assert locks.exists(MAIN)
    locks.release(MAIN)
