"""An answer that is made while it is read: as far as somebody has read, and a piece at a time.

A log of 10,000 operations takes a quarter of a second to render, and nobody else is served
meanwhile. One read makes no more than `PART_BYTES_MAX` of it (about 2 ms) and may return less than
it was asked for, as reads do.
"""

from collections.abc import Iterator

from pyi_fs import limits
from pyi_fs.errors import FileTooLargeError

PART_BYTES_MAX = 32 * 1024


class Streamed:
    """One answer, for one descriptor."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        """Renders nothing yet."""
        self._parts = parts
        self._made = bytearray()

    def part(self, offset: int, size: int) -> bytes:
        """Returns some of the bytes from `offset` on; empty at the end.

        `FileTooLargeError` beyond what an answer may have.
        """
        end = offset + min(size, PART_BYTES_MAX)
        if end > limits.CONTROL_ANSWER_BYTES_MAX:
            raise FileTooLargeError(
                f"an answer has at most {limits.CONTROL_ANSWER_BYTES_MAX} bytes: ask the Python API"
            )
        while len(self._made) < end and (part := next(self._parts, None)) is not None:
            self._made += part
        return bytes(self._made[offset:end])
