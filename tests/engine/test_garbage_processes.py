"""Others deduplicate onto chunks that are being collected, at any moment of it: none is lost."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.marking import Marked, live_chunks
from tests.support.commands import ROOT
from tests.support.engine_rig import contents, drop, noise, opened, put, written
from tests.support.garbage_rig import NOTHING_KEPT, seal_everything, soon, tomorrow

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


def test_what_is_sealed_between_the_mark_and_the_condemnation_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sealed had done it before anything was condemned: only the second mark sees it."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(200_000, "wanted again"))
        seal_everything(store)
        with written(store, "a") as (_, branch):
            drop(branch, b"f")
        with written(store, "b") as (_, branch):
            put(branch, b"g", noise(200_000, "wanted again"))
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        assert planned.packs.remove
        marks: list[Marked] = []

        def mark(*arguments: Any, **options: Any) -> Marked:
            found = live_chunks(*arguments, **options)
            if not marks:
                seal_everything(store)
            marks.append(found)
            return found

        monkeypatch.setattr(garbage, "live_chunks", mark)
        garbage.carry_out(store, planned, clock_ns=tomorrow)
        with written(store, "b") as (_, branch):
            assert contents(branch) == {b"g": noise(200_000, "wanted again")}
        assert [one for one in check_store(store, verify_data=True) if one.severity != "note"] == []
        assert marks[0].live < marks[1].live
