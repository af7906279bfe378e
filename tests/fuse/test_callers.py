"""Who is being killed while it waits."""

import os

from pyi_fs.fuse.callers import is_dying


def test_a_thread_is_dying_when_it_is_killed():
    assert not is_dying(os.getpid())
    assert not is_dying(1 << 30)
