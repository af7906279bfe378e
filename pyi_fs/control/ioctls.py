r"""Commands that any open file or directory takes, without a file of `.pyi` being opened.

Each is the command of one control file of the view in which the open file is. Its argument is a
`char[1024]`, text that ends with the first NUL or with the array, in both directions: the command
in, the answer out, or the sentence that says why it was refused. What does not fit is for the
control file itself.

Source: include/uapi/asm-generic/ioctl.h; Documentation/userspace-api/ioctl/ioctl-number.rst, which
gives 'y' from 0x20 on to nobody.
"""

TEXT_BYTES = 1024
_READ_WRITE = 3
_TYPE = ord("y")


def _number(index: int) -> int:
    """Returns `_IOWR('y', index, char[TEXT_BYTES])`."""
    return _READ_WRITE << 30 | TEXT_BYTES << 16 | _TYPE << 8 | index


SNAPSHOT = _number(0x50)
RESTORE = _number(0x51)
FORK = _number(0x52)
MOUNT = _number(0x53)

FILES = {SNAPSHOT: b"snapshot", RESTORE: b"restore", FORK: b"fork", MOUNT: b"mount"}
"""Which control file takes the command."""


def text(data: bytes) -> bytes:
    """Returns the command that was handed in."""
    return data.partition(b"\0")[0]


def array(answer: bytes) -> bytes:
    """Returns an answer as the whole array, cut if it must be, with NULs behind it."""
    return answer[: TEXT_BYTES - 1].ljust(TEXT_BYTES, b"\0")
