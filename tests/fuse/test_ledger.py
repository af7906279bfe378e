"""What a server notes is there for the next one: whole, or not at all."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import FormatUnknownError
from pyi_fs.fuse import ledger as module
from pyi_fs.fuse.ledger import PAGE_NUMBERS, VERSION, MemoryLedger, NoLedger, Word
from pyi_fs.limits import IN_FLIGHT_NOTED_MAX

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.none() | st.binary(max_size=40)),
        st.just("commit"),
    ),
    max_size=60,
)


def successor(ledger: MemoryLedger) -> MemoryLedger:
    """Returns the ledger as another process opens it."""
    return MemoryLedger(tuple(map(os.dup, ledger.descriptors)))


@given(STEPS)
def test_what_was_committed_is_there_and_nothing_else(steps):
    ledger, model = MemoryLedger(), dict[tuple[str, int], bytes]()
    waiting: list[tuple[str, int, bytes | None]] = []
    for step in steps:
        if step == "commit":
            ledger.commit()
            for table, key, value in waiting:
                model.pop((table, key), None)
                if value is not None:
                    model[table, key] = value
            waiting = []
        else:
            ledger.put(*step)
            waiting.append(step)
    for found in (ledger, successor(ledger)):
        for table in "ab":
            expected = {key: value for (name, key), value in model.items() if name == table}
            assert found.table(table) == expected


def test_a_log_is_written_anew_when_it_has_grown_and_goes_on(monkeypatch):
    """Both files of the log are used in turn, and neither grows without bound."""
    monkeypatch.setattr(module, "_COMPACT_BYTES_MIN", 2_000)
    ledger = MemoryLedger()
    for index in range(2_000):
        ledger.put("t", index % 7, [index, b"x" * 20])
        ledger.commit()
    sizes = [os.fstat(descriptor).st_size for descriptor in ledger.descriptors[2:]]
    assert sum(sizes) < 60_000
    newest = {index % 7: [index, b"x" * 20] for index in range(1_993, 2_000)}
    assert successor(ledger).table("t") == newest


def test_a_record_that_is_torn_is_never_read():
    ledger = MemoryLedger()
    ledger.put("t", 1, "whole")
    ledger.commit()
    end = ledger.words[Word.LOG_END]
    ledger.put("t", 1, "torn")
    ledger.commit()
    # Dead between the record and the word.
    ledger.words[Word.LOG_END] = end
    assert successor(ledger).table("t") == {1: "whole"}


def test_keys_may_be_tuples():
    ledger = MemoryLedger()
    ledger.put("t", (1, 2), [b"a", b"b"])
    ledger.commit()
    assert successor(ledger).table("t") == {(1, 2): [b"a", b"b"]}


def test_pages_are_kept_with_their_keys_and_given_back():
    ledger = MemoryLedger()
    pages = {key: ledger.new_page(key) for key in range(600)}
    for key, page in pages.items():
        page[key % 1024] = key + 1
    pages[7][7] = 0
    ledger.free_page(7)
    again = ledger.new_page(10_000)
    again[1] = 5
    found = {key: [n for n in page if n] for key, page in successor(ledger).kept_pages()}
    expected = {key: [key + 1] for key in range(600) if key != 7}
    assert found == {**expected, 10_000: [5]}
    assert len(again) == PAGE_NUMBERS


def test_slots_are_kept():
    ledger = MemoryLedger()
    for index in (0, 1, 70_000):
        ledger.slot(index, bytes([index % 251]) * 40)
    found = {index: record for index, record in successor(ledger).kept_slots() if any(record)}
    assert found == {1: b"\1" * 40, 70_000: bytes([70_000 % 251]) * 40}


def test_another_version_is_refused():
    ledger = MemoryLedger()
    ledger.words[Word.VERSION] = VERSION + 1
    with pytest.raises(FormatUnknownError, match=f"version {VERSION + 1}, not {VERSION}"):
        successor(ledger)


def test_a_ledger_that_keeps_nothing_takes_everything():
    ledger = NoLedger()
    ledger.put("t", 1, "x")
    ledger.commit()
    ledger.slot(3, bytes(40))
    page = ledger.new_page(1)
    ledger.free_page(1)
    assert (len(page), ledger.survives) == (PAGE_NUMBERS, False)
    assert not ledger.pending
    assert len(ledger.words) == len(MemoryLedger().words) > len(Word) + IN_FLIGHT_NOTED_MAX
