"""Finds what is new of a chunk by an earlier version of its file: the rest is there already.

A tool that writes a file anew as a whole has all chunks found again but those with a change in
them, 64 KiB in the mean. Of these only the bytes between what both versions begin and end with are
new (`docs/decisions/0014-small-edits.md`). Reads only.

Invariants:
- A patch is the bytes that it is for: every byte of it was compared, or is in it.
- What it refers to is bounded in pieces, and is at least half of the chunks it lies in, so that an
  old chunk is not kept for a few bytes of it. Beyond that there is no patch, and the bytes are a
  chunk of their own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.store import Store
from pyi_fs.errors import StoreError
from pyi_fs.ids import ChunkId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode
from pyi_fs.store.chunks import part_of

Locate = Callable[[Extent], Sequence[Extent]]
"""Returns where in chunks the bytes of an extent are: pieces in file order, fewer if unknown."""


class Patch(NamedTuple):
    """Some bytes of a file: pieces of chunks that are there, new bytes, pieces again."""

    before: tuple[Extent, ...]
    new: bytes
    after: tuple[Extent, ...]


class EarlierVersion:
    """A version of a file whose bytes are in chunks, as far as they are."""

    def __init__(self, store: Store, inode: Inode, locate: Locate) -> None:
        """Reads nothing yet."""
        self._store = store
        self._inode = inode
        self._locate = locate
        self._starts: dict[ChunkId, int] | None = None

    @property
    def size_bytes(self) -> int:
        """Returns the size of the file then."""
        return self._inode.size

    def start_of(self, chunk: ChunkId) -> int | None:
        """Returns the offset in the file at which a chunk begins, or None."""
        if self._starts is None:
            self._starts = {
                piece.chunk: piece.file_offset
                for piece in self._pieces(0, self.size_bytes)
                if piece.source_offset == 0
            }
        return self._starts.get(chunk)

    def patch(self, data: bytes, start: int | None, end: int | None) -> Patch | None:
        """Returns what makes bytes of little that is new, or None.

        `start`, `end`: where in this version what they begin and end with is looked for.
        """
        if len(data) < limits.PATCHED_BYTES_MIN:
            return None
        try:
            return self._patch(data, start, end)
        except StoreError:
            # What is damaged there is no reason not to keep what is here.
            return None

    def _patch(self, data: bytes, start: int | None, end: int | None) -> Patch | None:
        length = len(data)
        before: list[Extent] = []
        after: list[Extent] = []
        if start is not None:
            before = _ahead(self._pieces(start, start + length), start)
            common = _common(data, self._bytes(before))
            before = _cut(before, start, start + common)
            length -= common
        if end is not None:
            # Not what was found at the front once more: of so many bytes at most.
            after = _back(self._pieces(max(end - length, 0), end), end)
            common = _common(data[::-1], self._bytes(after)[::-1])
            after = _cut(after, end - common, end)
            length -= common
        found = len(data) - length
        used = {piece.chunk for piece in (*before, *after)}
        if (
            found < limits.PATCHED_BYTES_MIN
            or length > limits.PATCH_SHARE_MAX * len(data)
            or len(before) + len(after) > limits.PATCH_PIECES_MAX
            or sum(len(self._store.chunks.get(chunk)) for chunk in used) > 2 * found
        ):
            return None
        first = sum(piece.length for piece in before)
        return Patch(tuple(before), data[first : first + length], tuple(after))

    def _pieces(self, start: int, end: int) -> list[Extent]:
        found = extent.overlapping(self._inode.extents, start, end)
        return [piece for item in found for piece in self._locate(item)]

    def _bytes(self, pieces: Sequence[Extent]) -> bytes:
        return b"".join(part_of(self._store.chunks.get(piece.chunk), piece) for piece in pieces)


def _ahead(pieces: list[Extent], start: int) -> list[Extent]:
    """Returns the pieces that lie side by side from an offset on."""
    found = []
    for piece in pieces:
        if piece.file_offset != start:
            break
        found.append(piece)
        start = piece.end
    return found


def _back(pieces: list[Extent], end: int) -> list[Extent]:
    """Returns the pieces that lie side by side up to an offset."""
    found: list[Extent] = []
    for piece in reversed(pieces):
        if piece.end != end:
            break
        found.insert(0, piece)
        end = piece.file_offset
    return found


def _cut(pieces: list[Extent], start: int, end: int) -> list[Extent]:
    return [
        piece.cut(start, end) for piece in pieces if piece.end > start and piece.file_offset < end
    ]


def _common(one: bytes, other: bytes) -> int:
    """Returns how many bytes two strings have in common at their beginnings."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        # What is before `low` is known to be equal.
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
