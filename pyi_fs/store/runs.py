"""The checksums of a scratch segment: one run for each append, at most 64 KiB long.

A run table grows with its segment. The writer has it in memory; when a segment is closed it is
written beside it; for a segment whose writer died it is read from the journal's `Write` records,
which carry the same checksums.

File (little endian, `docs/on-disk-format.md` section *Runs*): entries (offset u64, length u32, zero
u32, checksum u64) sorted by offset, then XXH3-64 of all entries.
"""

import struct
from array import array
from bisect import bisect_left, bisect_right

from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptSegmentError
from pyi_fs.ids import Buffer
from pyi_fs.limits import RUN_BYTES_MAX

_ENTRY = struct.Struct("<QIIQ")
_CHECKSUM = struct.Struct("<Q")


class RunTable:
    """Where the runs of one segment begin and what their checksums are."""

    __slots__ = ("_checksums", "_lengths", "_starts")

    def __init__(self) -> None:
        """Starts empty."""
        self._starts = array("Q")
        self._lengths = array("I")
        self._checksums = array("Q")

    def __len__(self) -> int:
        """Returns the number of runs."""
        return len(self._starts)

    @property
    def end(self) -> int:
        """Returns the offset one past the last run."""
        return self._starts[-1] + self._lengths[-1] if self._starts else 0

    def append(self, start: int, length: int, checksums: bytes) -> None:
        """Adds the runs of one append of `length` bytes at `start`.

        Later starts only, earlier ones are ignored.
        """
        if self._starts and start <= self._starts[-1]:
            return
        for index in range(len(checksums) // 8):
            offset = index * RUN_BYTES_MAX
            self._starts.append(start + offset)
            self._lengths.append(min(RUN_BYTES_MAX, length - offset))
            self._checksums.append(int.from_bytes(checksums[index * 8 : index * 8 + 8], "little"))

    def covering(self, start: int, end: int) -> list[tuple[int, int, int]] | None:
        """Returns (start, length, checksum) of the runs that cover `[start, end)`.

        None if some byte is in no run.
        """
        index = bisect_right(self._starts, start) - 1
        if index < 0:
            return None
        found = []
        while start < end:
            if index >= len(self._starts) or self._starts[index] > start:
                return None
            run_start, length = self._starts[index], self._lengths[index]
            if run_start + length <= start:
                return None
            found.append((run_start, length, self._checksums[index]))
            start = run_start + length
            index += 1
        return found

    def whole(self, start: int, end: int) -> tuple[int, int]:
        """Returns the part of `[start, end)` that is whole runs; an empty range if it has none."""
        first = bisect_left(self._starts, start)
        last = bisect_left(self._starts, end) - 1
        if last >= first and self._starts[last] + self._lengths[last] > end:
            last -= 1
        if last < first:
            return start, start
        return self._starts[first], self._starts[last] + self._lengths[last]

    def encode(self) -> bytes:
        """Returns the file of a closed segment's runs."""
        rows = zip(self._starts, self._lengths, self._checksums, strict=True)
        body = b"".join(_ENTRY.pack(start, length, 0, checksum) for start, length, checksum in rows)
        return body + _CHECKSUM.pack(xxh3_64_intdigest(body))


def decode(data: bytes, file: str) -> RunTable:
    """Returns the table of a runs file; `CorruptSegmentError` naming `file` if it is damaged."""
    body, tail = data[:-8], data[-8:]
    if (
        len(data) < 8
        or len(body) % _ENTRY.size
        or _CHECKSUM.unpack(tail)[0] != xxh3_64_intdigest(body)
    ):
        raise CorruptSegmentError(file, 0, "a table of runs", "damage")
    table = RunTable()
    for start, length, _, checksum in _ENTRY.iter_unpack(body):
        table.append(start, length, _CHECKSUM.pack(checksum))
    return table


def check_run(file: str, start: int, length: int, checksum: int, data: Buffer) -> None:
    """Checks the bytes of one run; `CorruptSegmentError` naming `file` if they are others."""
    found = xxh3_64_intdigest(data)
    if found != checksum or len(data) != length:
        raise CorruptSegmentError(file, start, f"{checksum:016x}", f"{found:016x}")


def checksums_of(data: Buffer) -> bytes:
    """Returns the checksums of the runs that an append of `data` makes: u64 each, little endian."""
    length = len(data)
    if length <= RUN_BYTES_MAX:
        return _CHECKSUM.pack(xxh3_64_intdigest(data))
    view = memoryview(data)
    starts = range(0, length, RUN_BYTES_MAX)
    return b"".join(
        _CHECKSUM.pack(xxh3_64_intdigest(view[start : start + RUN_BYTES_MAX])) for start in starts
    )
