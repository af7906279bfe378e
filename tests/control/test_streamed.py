"""An answer is made as far as it is read, a piece at a time, and is the same however it is read."""

from collections.abc import Iterator

import pytest

from pyi_fs import limits
from pyi_fs.control.streamed import PART_BYTES_MAX, SKIPPED_BYTES_MAX, Streamed
from pyi_fs.errors import FileTooLargeError, InvalidArgumentError

LINES = [b"%d\n" % number * 100 for number in range(1000)]


def counted(made: list[bytes]) -> Iterator[bytes]:
    for line in LINES:
        made.append(line)
        yield line


def read_all(answer: Streamed, size: int) -> bytes:
    found = b""
    while part := answer.part(len(found), size):
        found += part
    return found


@pytest.mark.parametrize("size", [7, 4096, 1 << 20])
def test_reading_on_gives_all_of_it(size: int) -> None:
    assert read_all(Streamed(iter(LINES)), size) == b"".join(LINES)


def test_nothing_is_made_before_it_is_read_and_little_at_once() -> None:
    made: list[bytes] = []
    answer = Streamed(counted(made))
    assert made == []
    assert answer.part(0, 5) == b"0\n0\n0"
    assert len(made) == 1
    assert len(answer.part(0, 1 << 20)) == PART_BYTES_MAX
    assert sum(map(len, made)) < PART_BYTES_MAX + 1000
    assert answer.part(2, 5) == b"0\n0\n0"


def test_beyond_the_end_there_is_nothing() -> None:
    answer = Streamed(iter(LINES[:100]))
    assert answer.part(10_000_000, 10) == answer.part(1 << 40, 1) == b""
    assert read_all(answer, 1 << 20) == b"".join(LINES[:100])


def test_what_another_process_gave_out_is_made_whatever_it_is() -> None:
    whole = b"".join(LINES) * 10
    answer = Streamed(iter(LINES * 10))
    offset = SKIPPED_BYTES_MAX + 3 * PART_BYTES_MAX
    with pytest.raises(InvalidArgumentError):
        Streamed(iter(LINES * 10)).part(offset, 10)
    answer.go_on_at(offset)
    assert answer.part(offset, 10) == whole[offset : offset + 10]
    answer.go_on_at(len(whole) + 10)
    assert answer.part(len(whole) + 10, 10) == b""


def test_what_is_skipped_is_made_and_has_a_limit() -> None:
    made: list[bytes] = []
    answer = Streamed(counted(made))
    everything = b"".join(LINES)
    assert answer.part(SKIPPED_BYTES_MAX, 5) == everything[SKIPPED_BYTES_MAX:][:5]
    made.clear()
    answer = Streamed(counted(made))
    with pytest.raises(InvalidArgumentError, match="from the beginning"):
        answer.part(len(everything) - 1, 1)
    assert sum(map(len, made)) < SKIPPED_BYTES_MAX + PART_BYTES_MAX + 1000
    assert read_all(answer, 1 << 20) == everything


def test_an_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTROL_ANSWER_BYTES_MAX", 1000)
    answer = Streamed(iter(LINES))
    assert len(answer.part(0, 1000)) == 1000
    with pytest.raises(FileTooLargeError, match="at most 1000 bytes"):
        answer.part(1000, 1)
