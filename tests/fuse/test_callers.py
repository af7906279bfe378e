"""Who is being killed while it waits."""

import os
import threading
from pathlib import Path

from pyi_fs.fuse.callers import is_dying


def test_a_thread_is_dying_when_it_is_killed():
    assert not is_dying(os.getpid())
    assert not is_dying(1 << 30)


def test_the_name_of_a_thread_says_nothing():
    """Anybody gives one to his own, with all but a newline in it."""
    comm = Path("/proc/thread-self/comm")
    before = comm.read_bytes().rstrip(b"\n")
    comm.write_bytes(b"x\rSigPnd: 100")
    try:
        assert not is_dying(threading.get_native_id())
    finally:
        comm.write_bytes(before)
