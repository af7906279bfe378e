"""A file that is made without a name: open(2) with `O_TMPFILE`.

No record of its own: to a journal it is what an orphan is, an inode that comes into being unlinked
(`Adopt`). It may get a name later (`Link`), else it is reaped.
"""

import stat

from pyi_fs.errors import NotADirectoryInTreeError, NotFoundError
from pyi_fs.ids import InodeNumber
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Adopt
from pyi_fs.model.tree import Tree


def temporary(
    tree: Tree,
    directory: InodeNumber,
    number: InodeNumber,
    mode: int,
    owner: tuple[int, int],
    time_ns: int,
) -> Adopt:
    """Returns the change that makes a regular file without a name, as `directory` would have it.

    `owner`: user and group. `NotFoundError` in a directory that was removed.
    """
    parent = tree.existing(directory)
    if not parent.is_directory:
        raise NotADirectoryInTreeError(f"inode {directory} is not a directory")
    if parent.nlink == 0:
        raise NotFoundError("the directory was removed")
    uid, gid = owner
    if parent.mode & stat.S_ISGID:
        # As for files with a name: inode_init_owner() of the kernel.
        gid = parent.gid
    mode = stat.S_IFREG | stat.S_IMODE(mode)
    times = (time_ns, time_ns, time_ns, time_ns)
    return Adopt(number, Inode(mode, 0, uid, gid, 0, *times, directory, b""))
