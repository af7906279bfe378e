"""Giving ranges of a segment back takes nothing away that is still read."""

from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.ids import LayerId
from pyi_fs.limits import RUN_BYTES_MAX
from pyi_fs.store import layout
from pyi_fs.store.runs import RunTable, checksums_of
from pyi_fs.store.scratch import ScratchWriter
from tests.support.storage import MemoryStorage

BLOCK = 4096


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScratchWriter:
    """A writer of a new layer that finds two blocks worth a punch."""
    memory = MemoryStorage(tmp_path)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 2 * BLOCK)
    memory.make_directory("layers/00/0000000001", parents=True)
    return ScratchWriter(memory, LayerId(1))


def test_only_whole_runs_are_given_back(scratch: ScratchWriter) -> None:
    """A run that is partly alive is verified as a whole: its dead bytes have to stay."""
    data = bytes(range(1, 251)) * (4 * RUN_BYTES_MAX // 250)
    where = scratch.append(data)
    scratch.supersede(where.segment, 10_000, 3 * RUN_BYTES_MAX)
    plan = scratch.plan_reclaim()
    assert plan == [(where.segment, RUN_BYTES_MAX, 2 * RUN_BYTES_MAX)]
    scratch.reclaim(plan)
    file = scratch.file(where.segment)
    assert file is not None
    for start, end in ((0, RUN_BYTES_MAX), (3 * RUN_BYTES_MAX, len(data))):
        assert file.read_at(start, end - start) == data[start:end]
    assert scratch.returned_bytes == 2 * RUN_BYTES_MAX
    # The same garbage is not given back again; what joins it is.
    assert scratch.plan_reclaim() == []
    scratch.supersede(where.segment, 0, 10_000)
    assert scratch.plan_reclaim() == [(where.segment, 0, 3 * RUN_BYTES_MAX)]


def test_garbage_inside_one_run_stays(scratch: ScratchWriter) -> None:
    where = scratch.append(b"x" * RUN_BYTES_MAX)
    scratch.supersede(where.segment, 1, RUN_BYTES_MAX - 2)
    assert scratch.plan_reclaim() == []


@pytest.mark.parametrize(
    ("start", "end", "whole"),
    [
        (0, 30, (0, 30)),
        (0, 29, (0, 20)),
        (1, 30, (10, 30)),
        (1, 29, (10, 20)),
        (10, 20, (10, 20)),
        (11, 20, (11, 11)),
        (10, 19, (10, 10)),
        (12, 18, (12, 12)),
    ],
)
def test_whole_runs_of_a_range(start: int, end: int, whole: tuple[int, int]) -> None:
    table = RunTable()
    for offset in (0, 10, 20):
        table.append(offset, 10, checksums_of(b"0123456789"))
    assert table.whole(start, end) == whole


def test_nothing_is_given_back_while_others_hold_the_pins_unless_they_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = MemoryStorage(tmp_path)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 2 * BLOCK)
    memory.make_directory("layers/00/0000000001", parents=True)
    scratch = ScratchWriter(memory, LayerId(1))
    where = scratch.append(bytes(range(1, 251)) * (4 * RUN_BYTES_MAX // 250))
    scratch.supersede(where.segment, 0, 2 * RUN_BYTES_MAX)
    plan = scratch.plan_reclaim()
    held = memory.lock(layout.pins(LayerId(1)))
    assert held is not None
    scratch.reclaim(plan, wait=False)
    assert scratch.returned_bytes == 0
    held.release()
    assert scratch.plan_reclaim() == plan
    scratch.reclaim(plan, wait=False)
    assert scratch.returned_bytes == 2 * RUN_BYTES_MAX
