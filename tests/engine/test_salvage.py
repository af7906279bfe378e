"""Of a damaged log every record that is whole is found, before the damage and behind it."""

from pathlib import Path

import pytest

from pyi_fs.engine.salvage import salvaged
from pyi_fs.ids import WorkspaceName
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import Storage
from tests.support.engine_rig import opened, put, written

A = WorkspaceName("a")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        for index in range(3):
            put(branch, b"f", b"%d" % index)
            workspace.snapshot(branch)
    return tmp_path / "store" / layout.operations_log(A)


def ends(log: Path) -> list[int]:
    data, found = log.read_bytes(), [0]
    while found[-1] < len(data):
        found.append(found[-1] + 8 + int.from_bytes(data[found[-1] : found[-1] + 4], "little"))
    return found


def test_a_whole_log_is_whole(log: Path) -> None:
    with opened(log.parents[2]) as store:
        opened_log = OperationsLog(store.storage, A)
        expected = tuple(operation for _, operation in opened_log.operations())
        opened_log.close()
        assert salvaged(store.storage, A) == (expected, True, True)
        assert salvaged(store.storage, WorkspaceName("nobody")) == ((), True, True)


@pytest.mark.parametrize("within", [0, 3, 5, 9])
def test_each_record_can_be_lost_and_the_others_are_found(log: Path, within: int) -> None:
    """In its length, its checksum, or its payload.

    One whose length is wrong may look torn if it is the last: whether it was durable once is asked
    by who opens the log.
    """
    whole, places = log.read_bytes(), ends(log)
    with opened(log.parents[2]) as store:
        expected = salvaged(store.storage, A).operations
        for index, start in enumerate(places[:-1]):
            damaged = bytearray(whole)
            damaged[start + within] ^= 0x41
            log.write_bytes(damaged)
            left = (*expected[:index], *expected[index + 1 :])
            found = salvaged(store.storage, A)
            assert (found.operations, found.is_readable) == (left, True)
            may_look_torn = index == len(places) - 2 and within < 4
            assert not found.is_whole or may_look_torn


@pytest.mark.parametrize("end", [b"\x20\0\0\0torn", bytes(9), b"\x20\0\0\0torn" + bytes(99)])
def test_a_torn_end_is_normal(log: Path, end: bytes) -> None:
    with opened(log.parents[2]) as store:
        expected = salvaged(store.storage, A).operations
        with log.open("ab") as file:
            file.write(end)
        assert salvaged(store.storage, A) == (expected, True, True)


def test_an_end_that_nobody_wrote_so_is_not_whole(log: Path) -> None:
    with opened(log.parents[2]) as store:
        expected = salvaged(store.storage, A).operations
        with log.open("ab") as file:
            file.write(b"\4\0\0\0sumsdata")
        assert salvaged(store.storage, A) == (expected, False, True)


def test_a_log_that_the_disk_refuses_is_not_readable(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object, path: str) -> bytes:
        raise OSError(5, "Input/output error", path)

    with opened(log.parents[2]) as store:
        monkeypatch.setattr(type(store.storage), "read", refused)
        storage: Storage = store.storage
        assert salvaged(storage, A) == ((), False, False)
