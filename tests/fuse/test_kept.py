"""A dictionary whose changes are in the ledger."""

import pytest

from pyi_fs.fuse.kept import KeptDict
from pyi_fs.fuse.ledger import MemoryLedger


def test_every_change_is_noted_with_the_next_commit():
    ledger = MemoryLedger()
    kept = KeptDict[int, int](ledger, "t", lambda value: [value])
    kept[1] = 10
    kept[2] = 20
    kept[3] = 30
    del kept[2]
    assert kept.pop(3) == 30
    assert kept.pop(4, None) is None
    assert ledger.table("t") == {}
    ledger.commit()
    assert kept == {1: 10}
    assert ledger.table("t") == {1: [10]}
    with pytest.raises(KeyError):
        kept.pop(4)


def test_what_is_taken_over_is_not_noted_again():
    ledger = MemoryLedger()
    kept = KeptDict[int, int](ledger, "t", int)
    kept.restore(1, 10)
    assert kept == {1: 10}
    assert not ledger.pending
