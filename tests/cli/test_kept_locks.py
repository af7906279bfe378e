"""Locks outlive the process that took them, and no longer than they are wanted."""

import fcntl
import os
import subprocess
import sys
from functools import partial

import pytest

from pyi_fs.cli.kept_locks import LOCKS_MAX, KeptLocks
from pyi_fs.cli.serving import keep_locks
from pyi_fs.store.directory_storage import DirectoryStorage


def locked(path) -> int:
    """Returns a descriptor of a file that is locked by it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_free(path) -> bool:
    """Returns whether nobody has a file locked."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def successor(kept: KeptLocks) -> KeptLocks:
    """Returns the pair as another process has it."""
    first, second = map(os.dup, kept.descriptors)
    return KeptLocks((first, second))


def test_a_lock_is_kept_until_another_set_is(tmp_path):
    kept = KeptLocks()
    one, two = tmp_path / "one", tmp_path / "two"
    first, second = locked(one), locked(two)
    kept.keep({"one": first})
    kept.keep({"one": first, "two": second})
    os.close(first)
    os.close(second)
    assert (is_free(one), is_free(two)) == (False, False)
    next_one = successor(kept)
    found = next_one.taken_over()
    assert set(found) == {"one", "two"}
    assert os.path.samestat(os.fstat(found["two"]), two.stat())
    # Looked at and not taken: should it die now, the next one finds them again.
    for descriptor in found.values():
        os.close(descriptor)
    assert (is_free(one), is_free(two)) == (False, False)
    last = successor(next_one)
    found = last.taken_over()
    last.keep({"two": found["two"]})
    for descriptor in found.values():
        os.close(descriptor)
    assert (is_free(one), is_free(two)) == (True, False)
    last.keep({})
    assert is_free(two)
    assert successor(last).taken_over() == {}


def test_of_two_messages_the_second_counts(tmp_path):
    """A server died between putting one in and taking one out."""
    kept = KeptLocks()
    one, two = tmp_path / "one", tmp_path / "two"
    first, second = locked(one), locked(two)
    kept._send({"one": first})  # noqa: SLF001
    kept._send({"two": second})  # noqa: SLF001
    os.close(first)
    os.close(second)
    next_one = successor(kept)
    found = next_one.taken_over()
    assert list(found) == ["two"]
    next_one.keep(found)
    assert (is_free(one), is_free(two)) == (True, False)
    os.close(found["two"])


def test_an_empty_pair_and_a_set_of_none_have_none():
    kept = KeptLocks()
    assert kept.taken_over() == {}
    kept.keep({})
    assert successor(kept).taken_over() == {}


def test_so_many_are_kept_and_not_more(tmp_path):
    kept = KeptLocks()
    descriptor = locked(tmp_path / "one")
    kept.keep({f"lock-{index}": descriptor for index in range(LOCKS_MAX + 50)})
    found = successor(kept).taken_over()
    assert list(found) == [f"lock-{index}" for index in range(LOCKS_MAX)]
    for other in (descriptor, *found.values()):
        os.close(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="drops its privileges")
def test_where_no_more_can_be_on_their_way_the_last_set_stays():
    """The kernel bounds what a user without privileges has in flight by RLIMIT_NOFILE."""
    program = (
        "import logging, os, resource\n"
        "from pyi_fs.cli.kept_locks import KeptLocks\n"
        "logging.basicConfig()\n"
        "os.setuid(65534)\n"
        "full, kept = KeptLocks(), KeptLocks()\n"
        "file = os.open('/dev/null', os.O_RDONLY)\n"
        "kept.keep({'first': file})\n"
        "full.keep({str(i): file for i in range(100)})\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))\n"
        "for name in ('second', 'third'): kept.keep({name: file})\n"
        "print(*kept.taken_over())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stdout) == (0, "first\n"), done.stderr
    # Said once.
    assert done.stderr.count("locks taken since are given up with this process") == 1


def test_what_is_given_up_is_free_though_it_is_kept_until_the_next_is_taken(tmp_path):
    kept, first = KeptLocks(), DirectoryStorage(tmp_path)
    for name in ("workspaces", "leases", "other"):
        first.make_directory(name)
    first.on_lock = partial(keep_locks, first, kept)
    dropped, held = first.lock("workspaces/dropped"), first.lock("leases/held")
    other = first.lock("other/for-a-moment")
    assert dropped is not None
    assert held is not None
    assert other is not None
    dropped.release()
    assert is_free(tmp_path / "workspaces/dropped")
    # As if that server died here: the next one has both, and gives up what it does not use.
    second, found = DirectoryStorage(tmp_path), successor(kept).taken_over()
    assert set(found) == {"workspaces/dropped", "leases/held"}
    second.inherit_locks(found)
    other.release()
    assert not is_free(tmp_path / "leases/held")
    second.forget_inherited()
    assert is_free(tmp_path / "leases/held")
    again = first.lock("workspaces/again")
    assert again is not None
    found = successor(kept).taken_over()
    assert set(found) == {"workspaces/again", "leases/held"}
    for descriptor in found.values():
        os.close(descriptor)


def test_where_all_room_is_taken_what_is_given_up_makes_room(tmp_path):
    kept, storage = KeptLocks(), DirectoryStorage(tmp_path)
    storage.make_directory("workspaces")
    storage.on_lock = partial(keep_locks, storage, kept)
    paths = [f"workspaces/{number}" for number in range(LOCKS_MAX + 1)]
    locks = [storage.lock(path) for path in paths]
    assert locks[0] is not None
    locks[0].release()
    found = successor(kept).taken_over()
    assert set(found) == set(paths[1:])
    for descriptor in found.values():
        os.close(descriptor)
