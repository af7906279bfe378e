"""The inode record: kinds, dentries, and the form that reaches the disk."""

import msgspec
import pytest

from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.inode import Inode, with_fields

RECORD = Inode(0o100644, 1, 2, 3, 4, 5, 6, 7, 8, ROOT_INODE, b"name")


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (0o100644, "is_file"),
        (0o040755, "is_directory"),
        (0o120777, "is_symlink"),
        (0o010644, None),
        (0o020644, None),
        (0o060644, None),
        (0o140644, None),
    ],
)
def test_a_record_is_of_one_kind(mode: int, kind: str | None) -> None:
    """Type bits are compared whole: S_IFBLK and S_IFSOCK contain bits of other types."""
    inode = with_fields(RECORD, mode=mode)
    kinds = ("is_file", "is_directory", "is_symlink")
    assert [name for name in kinds if getattr(inode, name)] == ([kind] if kind else [])


def test_dentries_are_the_first_and_the_links() -> None:
    """All names while linked, none when not, whatever the fields still hold."""
    link = (InodeNumber(7), b"other")
    inode = with_fields(RECORD, nlink=2, links=(link,))
    assert inode.dentries() == ((ROOT_INODE, b"name"), link)
    assert with_fields(inode, nlink=0).dentries() == ()


def test_record_is_a_value() -> None:
    """Nothing can be set; a changed copy leaves the first as it was."""
    with pytest.raises(AttributeError):
        RECORD.size = 9  # type: ignore[misc]
    assert with_fields(RECORD, size=9).size == 9
    assert RECORD.size == 4


def test_record_is_an_array_of_its_fields_in_order() -> None:
    """The order of fields is on disk: this fails if one is moved."""
    full = with_fields(
        RECORD,
        extents=(b"e" * 56, b"f" * 56),
        target=b"t",
        rdev=9,
        xattrs=((b"user.a", b"v"),),
        links=((ROOT_INODE, b"l"),),
    )
    raw = msgspec.msgpack.encode(full)
    assert msgspec.msgpack.decode(raw) == [
        *(0o100644, 1, 2, 3, 4, 5, 6, 7, 8, 1, b"name"),
        [b"e" * 56, b"f" * 56],
        *(b"t", 9, [[b"user.a", b"v"]], [[1, b"l"]]),
    ]
    assert msgspec.msgpack.decode(raw, type=Inode) == full


def test_short_record_gets_defaults() -> None:
    """A record written before the last fields were added can still be read."""
    raw = msgspec.msgpack.encode([0o100644, 1, 2, 3, 4, 5, 6, 7, 8, 1, b"name"])
    assert msgspec.msgpack.decode(raw, type=Inode) == RECORD
