"""Every exception that pyi-fs raises, with its errno.

PyiError
├── RequestError            the request cannot be done; state unchanged; not logged
│   ├── NotFoundError           ENOENT        no such dentry, snapshot, branch, workspace
│   ├── AlreadyExistsError      EEXIST
│   ├── NotADirectoryInTreeError ENOTDIR
│   ├── IsADirectoryInTreeError EISDIR
│   ├── DirectoryNotEmptyError  ENOTEMPTY
│   ├── InvalidArgumentError    EINVAL        also malformed control commands
│   ├── NameTooLongError        ENAMETOOLONG  a limit of limits.py, named in the message
│   ├── FileTooLargeError       EFBIG
│   ├── TooManyLinksError       EMLINK
│   ├── CrossViewError          EXDEV         link or rename between views
│   ├── ReadOnlyError           EROFS         writing into a snapshot, or a degraded workspace
│   ├── NotPermittedError       EPERM
│   ├── AccessDeniedError       EACCES        the control directory, to other users
│   ├── BusyError               EBUSY         branch in use, mount busy
│   ├── NoSpaceError            ENOSPC
│   ├── QuotaExceededError      EDQUOT
│   ├── UnsupportedError        EOPNOTSUPP
│   ├── StaleNodeError          ESTALE        a node whose view is gone
│   └── AttributeNotFoundError  ENODATA
├── MalformedRequestError   the kernel sent what we cannot read; logged once; EIO
└── StoreError              the store failed us; logged once, at the edge; EIO
    ├── CorruptError            carries file, offset, expected, found
    │   ├── CorruptRecordError      a journal frame before the last sync
    │   ├── CorruptSegmentError     a scratch run whose checksum differs
    │   ├── CorruptPackError
    │   ├── CorruptTableError
    │   ├── CorruptTreeObjectError
    │   └── ForeignFileError        a link, FIFO, device where a file of the store belongs
    ├── CorruptTreeError        a tree, or a change of one, that no writer makes
    ├── MissingChunkError       carries the chunk's id
    ├── FormatTooNewError       refuses to open; says which version wrote it
    └── FormatUnknownError
"""

import errno


class PyiError(Exception):
    """Base of everything raised on purpose; `errno` is what a caller of the kernel sees."""

    errno: int = errno.EIO


class RequestError(PyiError):
    """The request cannot be done. Nothing has changed."""

    errno = errno.EINVAL


class NotFoundError(RequestError):
    """No such dentry, snapshot, branch or workspace."""

    errno = errno.ENOENT


class AlreadyExistsError(RequestError):
    """The name is taken."""

    errno = errno.EEXIST


class NotADirectoryInTreeError(RequestError):
    """A path goes through something that is not a directory."""

    errno = errno.ENOTDIR


class IsADirectoryInTreeError(RequestError):
    """A directory where a file is needed."""

    errno = errno.EISDIR


class DirectoryNotEmptyError(RequestError):
    """The directory still has entries."""

    errno = errno.ENOTEMPTY


class InvalidArgumentError(RequestError):
    """The request makes no sense; also a malformed control command."""

    errno = errno.EINVAL


class NameTooLongError(RequestError):
    """A name is longer than `limits.NAME_BYTES_MAX`."""

    errno = errno.ENAMETOOLONG


class FileTooLargeError(RequestError):
    """A file would become larger than `limits.FILE_BYTES_MAX`."""

    errno = errno.EFBIG


class TooManyLinksError(RequestError):
    """An inode would have more than `limits.LINKS_MAX` links."""

    errno = errno.EMLINK


class CrossViewError(RequestError):
    """A link or rename between two views."""

    errno = errno.EXDEV


class ReadOnlyError(RequestError):
    """Writing into a snapshot, a read-only mount, or a workspace whose store refuses writes."""

    errno = errno.EROFS


class NotPermittedError(RequestError):
    """The operation is never allowed on this object."""

    errno = errno.EPERM


class AccessDeniedError(RequestError):
    """This user may not do that."""

    errno = errno.EACCES


class BusyError(RequestError):
    """Somebody else holds it; the message names who."""

    errno = errno.EBUSY


class NoSpaceError(RequestError):
    """The disk of the store is full."""

    errno = errno.ENOSPC


class QuotaExceededError(RequestError):
    """The quota of the store's owner is used up."""

    errno = errno.EDQUOT


class UnsupportedError(RequestError):
    """Not something this filesystem does."""

    errno = errno.EOPNOTSUPP


class StaleNodeError(RequestError):
    """The node belongs to a view that is gone."""

    errno = errno.ESTALE


class AttributeNotFoundError(RequestError):
    """No extended attribute of that name."""

    errno = errno.ENODATA


class MalformedRequestError(PyiError):
    """A request of the kernel is shorter than it says, or not of its form. Nothing has changed."""

    errno = errno.EIO


class StoreError(PyiError):
    """The store failed us."""

    errno = errno.EIO


class CorruptError(StoreError):
    """Bytes in the store are not what was written.

    `file` is relative to the store; `offset` is bytes into it; `expected` and `found` are what was
    compared.
    """

    def __init__(
        self, file: str, offset: int, expected: object = None, found: object = None
    ) -> None:
        """Keeps the place and both values; the message is made from them."""
        super().__init__(file, offset, expected, found)
        self.file = file
        self.offset = offset
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        """Returns one line that names the file and the place."""
        place = f"{self.file}: wrong bytes at offset {self.offset}"
        return f"{place}: expected {self.expected}, found {self.found}"


class CorruptRecordError(CorruptError):
    """A frame of a journal or log before its last sync is bad; a torn tail is not this."""


class CorruptSegmentError(CorruptError):
    """A run of a scratch segment does not match its checksum."""


class CorruptPackError(CorruptError):
    """A pack, or an entry of it, is not what was published."""


class CorruptTableError(CorruptError):
    """A block of a base table does not match its checksum."""


class CorruptTreeObjectError(CorruptError):
    """A tree object does not decode or does not match its id."""


class ForeignFileError(CorruptError):
    """What stands where the store has a file or directory is a link, a FIFO, a device, a socket."""

    def __init__(self, file: str, expected: str) -> None:
        """Keeps the place, and what belongs there."""
        super().__init__(file, 0, expected)
        self.args = (file, expected)

    def __str__(self) -> str:
        """Returns one line that names the file."""
        return f"{self.file}: not {self.expected}, but a link or something else that is foreign"


class CorruptTreeError(StoreError):
    """A tree that no writer makes: a directory below itself, a name of nothing, bytes of nothing.

    Every byte has the right checksum; somebody wrote it so.
    """


class MissingChunkError(StoreError):
    """A chunk that an extent names is in no pack."""

    def __init__(self, chunk: bytes) -> None:
        """Keeps the id."""
        super().__init__(chunk)
        self.chunk = chunk

    def __str__(self) -> str:
        """Returns one line that names the chunk."""
        return f"chunk {self.chunk.hex()} is in no pack"


class FormatTooNewError(StoreError):
    """The store was written by a newer version."""


class FormatUnknownError(StoreError):
    """That is not a pyi store, or not a file of one."""
