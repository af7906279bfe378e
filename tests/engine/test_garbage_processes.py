"""Processes deduplicate onto chunks that are being collected, round after round: none is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.fsck import check_store
from tests.support.commands import ROOT
from tests.support.engine_rig import opened
from tests.support.garbage_rig import NOTHING_KEPT, soon

WRITERS = ("a", "b", "c")


@pytest.mark.slow
def test_chunks_that_are_condemned_and_wanted_again_are_there(
    tmp_path: Path, is_long: bool
) -> None:
    path, rounds = tmp_path / "store", 150 if is_long else 12
    with opened(path) as store:
        for name in WRITERS:
            create_workspace(store, name)
        writers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.support.chunk_writer", path, name, str(rounds)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in WRITERS
        ]
        collections = packs = kept_back = 0
        while any(writer.poll() is None for writer in writers):
            # In an hour: nothing is young any more, so that all that can go goes at once.
            planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=soon)
            done = garbage.carry_out(store, planned, clock_ns=soon)
            collections += 1
            packs += done.packs
            kept_back += len([note for note in done.notes if note.startswith("pack")])
        for writer in writers:
            said, errors = writer.communicate()
            assert (writer.returncode, said) == (0, "ok\n"), errors
        assert collections > 3
        assert packs > 0, (collections, kept_back)
        garbage.carry_out(
            store, garbage.plan(store, policy=NOTHING_KEPT, clock_ns=soon), clock_ns=soon
        )
        assert [one for one in check_store(store, verify_data=True) if one.severity != "note"] == []
