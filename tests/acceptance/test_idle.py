"""A mount that nobody uses is never woken, and neither is its holder."""

import time
from pathlib import Path

import pytest

from pyi_fs.fuse.transports import DIRECT, PYFUSE3
from tests.support.acceptance import disk_directory
from tests.support.several import command, serve_beside
from tests.support.takeover import Held

pytestmark = [pytest.mark.mount, pytest.mark.slow]
TRANSPORTS = (DIRECT, PYFUSE3)
WINDOW_SECONDS = 60
# After work: a sync, content roots, sealing after a minute, a look whether a collection is due.
WINDOWS_MAX = 6


def switches(held: Held) -> dict[str, int]:
    """Returns how often each thread of the mount's processes was given a core."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(held.path).encode() not in (process / "cmdline").read_bytes():
                continue
            for task in (process / "task").iterdir():
                lines = (task / "status").read_text().splitlines()
                counts = [int(line.split()[1]) for line in lines if "ctxt_switches" in line]
                found[task.name] = sum(counts)
        except (FileNotFoundError, ProcessLookupError):
            # It has ended meanwhile.
            continue
    return found


@pytest.mark.parametrize("options", [[], ["--writeback"], ["--snapshot-every", "2s"]], ids=str)
def test_a_mount_that_nobody_uses_is_never_woken(transport, options, request):
    """Counted by the kernel, in a minute that follows a minute in which nothing happened."""
    if not request.config.getoption("--long"):
        pytest.skip("takes minutes: with --long")
    with disk_directory() as place:
        held = Held(place, "--transport", transport, *options)
        (held.path / "f").write_text("work")
        (held.path / "f").read_text()
        assert len(rested(held)) >= (2 if transport == DIRECT else 1)
        held.unmount()
        held.check()


def rested(held: Held) -> dict[str, int]:
    """Returns the threads of a mount's processes once none was woken in a minute, nor in the next.

    With how often each was given a core until then.
    """
    before: dict[str, int] = {}
    for _ in range(WINDOWS_MAX):
        if before == (before := switches(held)):
            break
        time.sleep(WINDOW_SECONDS)
    else:
        pytest.fail("it never came to rest")
    time.sleep(WINDOW_SECONDS)
    assert switches(held) == before
    return before


def test_several_mounts_that_nobody_uses_do_not_wake_their_process(request):
    if not request.config.getoption("--long"):
        pytest.skip("takes minutes: with --long")
    with disk_directory() as place:
        held = Held(place, "--transport", DIRECT)
        (held.path / "f").write_text("work")
        for name in ("a", "b"):
            command(held.path, "branch", f"{name}\n")
            serve_beside(held.path, name, place / name)
            (place / name / "g").write_text("work")
        rested(held)
        for path in (place / "a", held.path, place / "b"):
            held.run("pyi-mount", "--unmount", str(path))
        held.check()
