"""Forks: ten processes write ten forks of one workspace at the same time, the parent removed."""

import contextlib
import os
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.store import Store
from tests.support.acceptance import (
    ROOT,
    Served,
    differences,
    finish,
    make_source,
    picture,
    run,
    start,
    stop,
)
from tests.support.acceptance_load import edits as make_edits

pytestmark = [pytest.mark.mount, pytest.mark.slow]

FORKS = 10


def pyi(command: str, store: Path, *arguments: str) -> str:
    """Runs a command line of the package."""
    program = f"from pyi_fs.cli.{command} import main; raise SystemExit(main())"
    return run(
        *(sys.executable, "-c", program, *arguments), cwd=ROOT, env={"PYI_STORE": str(store)}
    )


@pytest.mark.long_in_writeback
def test_ten_forks_written_at_once_outlive_their_parent(place, writeback, is_long):
    """Forked while the parent is written and unsealed; each is what its own program made it."""
    store, edits = place / "store", 400 if is_long else 80
    with Served(store, "parent", place / "parent", writeback=writeback) as parent:
        make_source(parent.path / "tree", 200)
        (parent.path / "shared").write_bytes(b"from the parent\n")
        (parent.path / "busy").touch()
        writer = start("rewriter", parent.path / "busy", 4 << 20, 0)
        base = picture(parent.path / "tree", times=True)
        pyi("fork", store, "parent", "fork0")
        with closing(Store.open(store)) as opened:
            for number in range(1, FORKS):
                fork_workspace(opened, "parent", None, f"fork{number}")
        finish(writer)
    with contextlib.ExitStack() as stack:
        mounts = [
            stack.enter_context(
                Served(store, f"fork{number}", place / f"m{number}", writeback=writeback)
            )
            for number in range(FORKS)
        ]
        programs = [
            start("edits", mount.path, number, edits) for number, mount in enumerate(mounts)
        ]
        try:
            pyi("store", store, "rm", "parent", "--yes")
            for program in programs:
                finish(program, 100)
        finally:
            stop(*programs)
        for number, mount in enumerate(mounts):
            reference = place / f"reference{number}"
            reference.mkdir()
            (reference / "shared").write_bytes(b"from the parent\n")
            make_edits(str(reference), str(number), str(edits))
            for name in (f"work{number}", "."):
                found = picture(mount.path / name)
                if name == ".":
                    found = {path: found[path] for path in ("shared", "busy")}
                    # As far as it was when its fork was made.
                    size = found.pop("busy")[1]
                    assert isinstance(size, int)
                    assert size <= 4 << 20
                    wanted = {"shared": picture(reference)["shared"]}
                else:
                    wanted = picture(reference / name)
                assert differences(found, wanted) == []
            assert differences(picture(mount.path / "tree", times=True), base) == []
            mount.snapshot()
    assert "parent" not in pyi("store", store, "ls")
    # Everything again from the disk, by new processes.
    for number in (0, FORKS - 1):
        with Served(store, f"fork{number}", place / f"m{number}", writeback=writeback) as mount:
            assert differences(picture(mount.path / "tree", times=True), base) == []
            assert b"by %d\n" % number in (mount.path / "shared").read_bytes()
            assert sorted(os.listdir(mount.path)) == ["busy", "shared", "tree", f"work{number}"]
