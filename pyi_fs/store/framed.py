"""Frames of a file, read in windows: a log of any length takes a few megabytes.

A file may have any size and no bytes (a hole), and a frame may say that it is a gigabyte long. What
is held at once is a window, or one frame that the file has room for.
"""

from collections.abc import Iterator

from xxhash import xxh3_64

from pyi_fs.format.record import FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX, frames
from pyi_fs.store.storage import AppendFile, ReadFile

WINDOW_BYTES = 4 << 20
"""Read at once: a journal of the usual length in one call."""


def frames_of(
    file: ReadFile | AppendFile, seed: int, start: int, end: int
) -> Iterator[tuple[int, bytes]]:
    """Yields (end offset, payload) of the valid frames in `[start, end)` of a file.

    Stops silently at the first thing that is none, as `frames` does.
    """
    while start < end:
        window = file.read_at(start, min(WINDOW_BYTES, end - start))
        before = start
        for stop, payload in frames(window, seed, base=start):
            yield stop, payload
            start = stop
        if start == before:
            # Damage, or a frame that is longer than a window.
            stop = start + FRAME_HEADER_BYTES + int.from_bytes(window[:4], "little")
            if stop - start <= WINDOW_BYTES or stop > end or not _is_frame(file, seed, start, stop):
                return
            yield from frames(file.read_at(start, stop - start), seed, base=start)
            start = stop


def boundary_of(file: ReadFile | AppendFile, end: int) -> int:
    """Returns where the last whole frame of `[0, end)` ends, by their lengths alone."""
    start = base = 0
    window = b""
    while start + FRAME_HEADER_BYTES <= end:
        if start + FRAME_HEADER_BYTES > base + len(window):
            base, window = start, file.read_at(start, min(WINDOW_BYTES, end - start))
        length = int.from_bytes(window[start - base : start - base + 4], "little")
        stop = start + FRAME_HEADER_BYTES + length
        if length == 0 or stop > end:
            break
        start = stop
    return start


def _is_frame(file: ReadFile | AppendFile, seed: int, start: int, stop: int) -> bool:
    """Returns whether the checksum of a long frame is right, before all of it is held."""
    if stop - start > FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX:
        return False
    expected = int.from_bytes(file.read_at(start + 4, 4), "little")
    checksum = xxh3_64(seed=(seed + start) % 2**64)
    for offset in range(start + FRAME_HEADER_BYTES, stop, WINDOW_BYTES):
        checksum.update(file.read_at(offset, min(WINDOW_BYTES, stop - offset)))
    return checksum.intdigest() & 0xFFFFFFFF == expected
