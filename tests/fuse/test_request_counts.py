"""What each operation asks of a transport, pinned, with the reason for each request."""

import os
from pathlib import Path

import pytest

from bench.requests import SEEN, WRITTEN, Operation, Way, benches, counted, create, missing
from pyi_fs.fuse.transports import DIRECT, PYFUSE3

pytestmark = [pytest.mark.mount, pytest.mark.slow]
TRANSPORTS = [DIRECT, PYFUSE3]

WANTED = {
    # LOOKUP: is the name free (the kernel asks before it creates). GETXATTR: the first write(2) to
    # a file looks for `security.capability`, once a file. RELEASE: nobody waits for it.
    "create + write + close": {"lookup": 1, "create": 1, "getxattr": 1, "write": 1, "release": 1},
    # The write changed the file's blocks and times.
    "stat, just made": {"getattr": 1},
    # What was known of `security.capability` went with the attributes that were asked for again.
    "open + overwrite + close": {"open": 1, "getxattr": 1, "write": 1, "release": 1},
    "missing name, first": {"lookup": 1},
    "missing name, again": {},
    "stat, cold": {"lookup": 1},
    "stat, warm": {},
    # What is in it came with the answer to OPEN (`fuse/prefill.py`). FLUSH: at the first close of a
    # mount, refused for good.
    "open + read + close, cold": {"open": 1, "flush": 1, "release": 1},
    # OPEN and RELEASE: decision 0006 says why they are not given up.
    "open + read + close, warm": {"open": 1, "release": 1},
    # READDIRPLUS begins; the rest of a listing is plain until somebody looks at what is in it. The
    # last answer says that there is no more.
    "readdir, cold": {"opendir": 1, "readdirplus": 1, "readdir": 1, "releasedir": 1},
    # Out of the kernel's pages.
    "readdir, warm": {"opendir": 1, "releasedir": 1},
    "readdir with stat, warm": {"opendir": 1, "releasedir": 1},
    # LOOKUP of the new name.
    "rename": {"lookup": 1, "rename": 1},
    "unlink": {"unlink": 1},
}


# pyfuse3 asks for READDIRPLUS each time, which it calls readdir, and nothing of a listing is kept.
_LISTING = {"opendir": 1, "readdir": 2, "releasedir": 1}
OTHERS = {
    DIRECT: {},
    PYFUSE3: {
        "readdir, cold": _LISTING,
        "readdir, warm": _LISTING,
        # The attributes of each name came with it.
        "readdir with stat, warm": _LISTING,
    },
}
"""Transport -> what is not as in `WANTED`."""


def test_every_operation_asks_for_no_more_than_it_must(tmp_path: Path, transport: str) -> None:
    with benches(tmp_path, Way(transport, 50)) as (bench,):
        found = counted(bench)
    assert found.keys() == (WRITTEN | SEEN).keys() == WANTED.keys()
    assert found == WANTED | OTHERS[transport]


def test_a_directory_that_changed_just_now_is_asked_for_once(
    tmp_path: Path, transport: str
) -> None:
    """The kernel drops its attributes itself at each change; it may keep the next ones at once."""
    with benches(tmp_path, Way(transport, 50)) as (bench,):
        first, second = bench.mountpoint / "d" / "f", bench.mountpoint / "d" / "g"

        def cost(operation: Operation, path: Path) -> dict[str, int]:
            return bench.cost(operation, path, settles=False)

        def look(path: Path) -> None:
            os.stat(path)

        create(first)
        made = cost(create, second)
        # The directory's GETATTR, once, and what is as ever.
        assert made == {"getattr": 1, **WANTED["create + write + close"]} | _first_close(made)
        looked = cost(look, second)
        # The directory, which has one file more, and the file, which was written.
        assert looked == {"getattr": 2}
        assert cost(look, second) == {}
        assert cost(missing, second) == {"lookup": 1}
        assert cost(missing, second) == {}


def _first_close(made: dict[str, int]) -> dict[str, int]:
    """Returns the FLUSH that the first close of a mount asks for."""
    return {"flush": 1} if "flush" in made else {}
