"""An answer that is made while it is read: as far as somebody has read, and a piece at a time.

A log of 10,000 operations takes a quarter of a second to render, and nobody else is served
meanwhile. One read makes no more than `PART_BYTES_MAX` of it (about 2 ms) and may return less than
it was asked for, as reads do. One that skips some of it makes that, too: `SKIPPED_BYTES_MAX` at
most.
"""

from collections.abc import Iterator

from pyi_fs import limits
from pyi_fs.errors import FileTooLargeError, InvalidArgumentError

PART_BYTES_MAX = 32 * 1024
# Eight parts: `dd bs=1 skip=N` works on what people look at, and takes as long as eight reads.
SKIPPED_BYTES_MAX = 8 * PART_BYTES_MAX


class Streamed:
    """One answer, for one descriptor."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        """Renders nothing yet."""
        self._parts = parts
        self._made = bytearray()
        self._is_whole = False

    def go_on_at(self, offset: int) -> None:
        """Makes what another process gave out up to there: whoever read it goes on behind it."""
        self._make(min(offset, limits.CONTROL_ANSWER_BYTES_MAX))

    def part(self, offset: int, size: int) -> bytes:
        """Returns some of the bytes from `offset` on; empty at the end and beyond it.

        `FileTooLargeError` beyond what an answer may have. `InvalidArgumentError` for more than
        `SKIPPED_BYTES_MAX` beyond what was read, unless the answer ends before.
        """
        end = offset + min(size, PART_BYTES_MAX)
        bound = len(self._made) + SKIPPED_BYTES_MAX + PART_BYTES_MAX
        self._make(min(end, bound, limits.CONTROL_ANSWER_BYTES_MAX))
        if end > limits.CONTROL_ANSWER_BYTES_MAX and not self._is_whole:
            raise FileTooLargeError(
                f"an answer has at most {limits.CONTROL_ANSWER_BYTES_MAX} bytes: ask the Python API"
            )
        if end > bound and not self._is_whole:
            raise InvalidArgumentError(
                f"no more than {SKIPPED_BYTES_MAX} bytes can be skipped: read from the beginning"
            )
        return bytes(self._made[offset:end])

    def _make(self, end: int) -> None:
        while len(self._made) < end and not self._is_whole:
            part = next(self._parts, None)
            if part is None:
                self._is_whole = True
            else:
                self._made += part
