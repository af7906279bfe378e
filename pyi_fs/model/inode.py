"""The inode record: everything a file is but its place in the store.

A frozen `msgspec.Struct` is both the hot value and its own codec (a MessagePack array of the fields
in this order; never reorder, only append with a default). Names are bytes. Each inode knows its
dentries: `parent` and `name` are its first one, `links` the others (hard links), so that paths of a
changed inode are found without a walk.
"""

import stat

import msgspec

from pyi_fs.ids import InodeNumber
from pyi_fs.model import bounds
from pyi_fs.model.extent import EMPTY, ExtentList


class Inode(msgspec.Struct, frozen=True, array_like=True, gc=False, omit_defaults=True):
    """One file, directory, symlink or special file.

    `mode` has the type bits. `nlink` of a directory is 2 + its subdirectories; 0 means unlinked but
    perhaps still held. `parent`, `name`: the first dentry; the root is its own parent with an empty
    name. `extents` only for regular files, `target` only for symlinks, `rdev` only for devices.
    Times are ns since the epoch.
    """

    mode: bounds.Mode
    nlink: bounds.HalfWord
    uid: bounds.HalfWord
    gid: bounds.HalfWord
    size: bounds.FileBytes
    atime_ns: bounds.TimeNs
    mtime_ns: bounds.TimeNs
    ctime_ns: bounds.TimeNs
    btime_ns: bounds.TimeNs
    parent: bounds.NumberOrNone
    name: bounds.NameOrNone
    extents: ExtentList = EMPTY
    target: bounds.Target = b""
    rdev: bounds.Count = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    links: tuple[tuple[InodeNumber, bytes], ...] = ()

    @property
    def is_directory(self) -> bool:
        """Returns whether this is a directory."""
        return self.mode & 0o170000 == stat.S_IFDIR

    @property
    def is_file(self) -> bool:
        """Returns whether this is a regular file."""
        return self.mode & 0o170000 == stat.S_IFREG

    @property
    def is_symlink(self) -> bool:
        """Returns whether this is a symbolic link."""
        return self.mode & 0o170000 == stat.S_IFLNK

    def dentries(self) -> tuple[tuple[InodeNumber, bytes], ...]:
        """Returns every (directory, name) that points here; empty if unlinked."""
        if self.nlink == 0:
            return ()
        return ((self.parent, self.name), *self.links)

    def xattr(self, name: bytes) -> bytes | None:
        """Returns the value of an extended attribute, or None."""
        for key, value in self.xattrs:
            if key == name:
                return value
        return None


with_fields = msgspec.structs.replace
"""Returns a changed copy: `with_fields(inode, size=3)`."""
