"""Cuts file contents where the content says so, so that an insertion changes only chunks near it.

Pure: bytes in, cut points out, no state outside a `Chunker`. The cut points are those of FastCDC
(Xia et al., USENIX ATC 2016) as the package `fastcdc` makes them: a gear hash over the last 31
bytes, started anew after each cut, stricter before the average size than after it. They are part of
the format (same content, same chunks, for ever), so a golden test fails should a release of the
package cut elsewhere.

Invariants:
- Chunks lie side by side and cover the content; all but the last have
  `CUT_BYTES_MIN < length <= CUT_BYTES_MAX`.
- Where content is cut depends on the content alone, not on how it was handed over.
- Content of at most `CUT_BYTES_MIN` bytes is one chunk, empty content none.
"""

from collections.abc import Iterable, Iterator

from fastcdc import fastcdc  # type: ignore[import-untyped]

from pyi_fs.format.pack import CUT_BYTES_AVERAGE, CUT_BYTES_MAX, CUT_BYTES_MIN
from pyi_fs.ids import Buffer


def cut_points(data: Buffer) -> Iterator[tuple[int, int]]:
    """Yields the half-open ranges `(start, end)` of the chunks of a whole content, lazily."""
    for chunk in fastcdc(data, CUT_BYTES_MIN, CUT_BYTES_AVERAGE, CUT_BYTES_MAX):
        yield chunk.offset, chunk.offset + chunk.length


class Chunker:
    """Cuts one content that arrives in parts.

    Keeps less than `CUT_BYTES_MAX` bytes between calls. Parts of 1 MiB and more are best: what is
    kept is copied once for each part.
    """

    def __init__(self) -> None:
        """Begins a content."""
        self._rest = b""

    def feed(self, part: Buffer) -> Iterator[bytes]:
        """Yields the chunks that are certain now; to be exhausted before the next call."""
        data = self._rest + bytes(part) if self._rest else bytes(part)
        start = 0
        # A cut is certain when the largest possible chunk was there to be looked at.
        if len(data) >= CUT_BYTES_MAX:
            for begin, end in cut_points(data):
                yield data[begin:end]
                start = end
                if len(data) - end < CUT_BYTES_MAX:
                    break
        self._rest = data[start:]

    def finish(self) -> Iterator[bytes]:
        """Yields the last chunks; the chunker may begin another content afterwards."""
        data, self._rest = self._rest, b""
        for begin, end in cut_points(data):
            yield data[begin:end]


def chunks(parts: Iterable[Buffer]) -> Iterator[bytes]:
    """Yields the chunks of the content that the parts make up one after another."""
    chunker = Chunker()
    for part in parts:
        yield from chunker.feed(part)
    yield from chunker.finish()
