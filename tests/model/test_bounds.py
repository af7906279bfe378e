"""The bounds of fields hold while a record is decoded, and take all that a writer writes."""

import msgspec
import pytest

from pyi_fs import limits
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Create, Mutation, SetAttributes, SetXattr

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(Mutation).decode
_inode = msgspec.msgpack.Decoder(Inode).decode


def test_the_largest_of_everything_is_taken() -> None:
    """Names, numbers, users, times, sizes and targets at their limits come back as they were."""
    name, number, user = b"n" * limits.NAME_BYTES_MAX, limits.INODE_NUMBER_MAX, (1 << 32) - 1
    time_ns, target = limits.TIME_NS_MAX, b"t" * limits.SYMLINK_BYTES_MAX
    create = Create(number, name, number, 0o177777, user, user, time_ns, target, 1 << 32)  # type: ignore[arg-type]
    size = limits.FILE_BYTES_MAX
    change = SetAttributes(number, 0o7777, user, user, size, limits.TIME_NS_MIN, -1, time_ns)  # type: ignore[arg-type]
    attribute = SetXattr(number, b"user." + b"x" * 250, b"v" * 65_536, time_ns)  # type: ignore[arg-type]
    for mutation in (create, change, attribute):
        assert _decode(_encode(mutation)) == mutation


@pytest.mark.parametrize("field", ["mode", "nlink", "uid", "gid", "size", "rdev", "parent"])
def test_no_field_of_a_record_is_negative(field: str) -> None:
    """Each would be an overflow where the kernel is answered."""
    inode = Inode(0o100644, 1, 0, 0, 0, 0, 0, 0, 0, 1, b"x")  # type: ignore[arg-type]
    assert _inode(_encode(inode)) == inode
    with pytest.raises(msgspec.ValidationError):
        _inode(_encode(msgspec.structs.replace(inode, **{field: -1})))
