"""What the fields of a record may be, checked by whoever decodes one.

msgspec checks these while it decodes, in C, so that they cost nothing that can be measured: a fold
of 30,000 records took as long with them as without (2026-11, CPython 3.11, 2-core VM). They bound
what no writer writes; they must never be narrower than what one does write. So times have no bound
but the words of MessagePack, although `limits.TIME_NS_MAX` is less: a wrong clock must not make a
store unreadable.
"""

from typing import Annotated

from msgspec import Meta

from pyi_fs import limits
from pyi_fs.ids import BranchName, InodeNumber, LayerId, OperationId, SnapshotId

_WORD_MAX = (1 << 63) - 1
_HALF_WORD_MAX = (1 << 32) - 1

Number = Annotated[InodeNumber, Meta(ge=1, le=limits.INODE_NUMBER_MAX)]
NumberOrNone = Annotated[InodeNumber, Meta(ge=0, le=limits.INODE_NUMBER_MAX)]
"""0 where a record says that there is no inode."""
NumberEnd = Annotated[InodeNumber, Meta(ge=1, le=limits.INODE_NUMBER_MAX + 1)]
"""One past a number."""
Name = Annotated[bytes, Meta(min_length=1, max_length=limits.NAME_BYTES_MAX)]
NameOrNone = Annotated[bytes, Meta(max_length=limits.NAME_BYTES_MAX)]
Target = Annotated[bytes, Meta(max_length=limits.SYMLINK_BYTES_MAX)]
AttributeName = Annotated[bytes, Meta(min_length=1, max_length=limits.XATTR_NAME_BYTES_MAX)]
Mode = Annotated[int, Meta(ge=0, le=0o177777)]
"""Permission bits with the bits of a type."""
HalfWord = Annotated[int, Meta(ge=0, le=_HALF_WORD_MAX)]
"""A user, a group, a count of links."""
FileBytes = Annotated[int, Meta(ge=0, le=limits.FILE_BYTES_MAX)]
"""A size of a file, or an offset in one."""
Count = Annotated[int, Meta(ge=0, le=_WORD_MAX)]
TimeNs = int
Layer = Annotated[LayerId, Meta(ge=0, lt=1 << 40)]
Place = tuple[Layer, Count]
"""A position as it stands in a record."""
Snapshot = Annotated[SnapshotId, Meta(min_length=1, max_length=64)]
"""An id that a writer made; `model/refs.py` looks at its form."""
Branch = Annotated[BranchName, Meta(min_length=1, max_length=limits.REF_NAME_LENGTH_MAX)]
Operation = Annotated[OperationId, Meta(ge=0, le=_WORD_MAX)]
