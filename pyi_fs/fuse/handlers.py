"""The handlers of one mount, one method for each FUSE request, free of any transport.

    names      lookup, mknod, mkdir, symlink, link, unlink, rmdir, rename, readlink
    metadata   getattr, setattr, xattrs, statfs
    files      open, create, tmpfile, read, write, fsync
    ranges     fallocate, lseek, copy_file_range
    listings   opendir, readdir
    ioctls     ioctl
    reaper     forget, release

A handler translates, calls, translates; what a request means is decided in `model/edit.py`. Nothing
awaits between reading a tree and changing it. What is raised becomes an errno in
`fuse/translate.py`.
"""

from pyi_fs.fuse.controls import ControlHandlers
from pyi_fs.fuse.files import FileHandlers
from pyi_fs.fuse.ioctls import IoctlHandlers
from pyi_fs.fuse.listings import ListingHandlers
from pyi_fs.fuse.metadata import MetadataHandlers
from pyi_fs.fuse.names import NameHandlers
from pyi_fs.fuse.ranges import RangeHandlers
from pyi_fs.fuse.state import MountState


class Handlers:
    """All handlers, on one state."""

    def __init__(self, state: MountState) -> None:
        """Makes them."""
        self.state = state
        self.controls = controls = ControlHandlers(state)
        self.names = NameHandlers(state, controls)
        self.metadata = MetadataHandlers(state, controls)
        self.files = FileHandlers(state, controls, self.names)
        self.ranges = RangeHandlers(state)
        self.ioctls = IoctlHandlers(state, controls)
        self.listings = ListingHandlers(state, controls, self.names)
        self.reaper = state.reaper
