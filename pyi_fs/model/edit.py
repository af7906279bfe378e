"""`apply(tree, mutation) -> Tree`: pure, total, and the only place with filesystem semantics.

An impossible request raises a `RequestError` and nothing has happened. What the kernel decides
before it asks a FUSE server that mounts with `default_permissions` (permission bits, sticky
directories, name lookup, umask) is not repeated here. Data and attributes of one inode are in
`model/edit_file.py`. Source: POSIX.1-2017 and the man pages of the calls; ext4 where they leave a
choice.
"""

import stat
from collections.abc import Callable
from typing import Any

from immutables import Map

from pyi_fs import limits
from pyi_fs.errors import (
    AlreadyExistsError,
    CorruptTreeError,
    DirectoryNotEmptyError,
    InvalidArgumentError,
    IsADirectoryInTreeError,
    NameTooLongError,
    NotADirectoryInTreeError,
    NotFoundError,
    NotPermittedError,
    TooManyLinksError,
)
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import edit_file
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    Adopt,
    Allocate,
    Create,
    Graft,
    Link,
    Mutation,
    Reap,
    Remove,
    RemoveXattr,
    Rename,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.model.tree import Names, Tree

_NO_NAMES: Names = Map()
_WHITEOUT = InodeNumber(0)


def apply(tree: Tree, mutation: Mutation) -> Tree:
    """Returns the tree after a mutation, `tree` itself unchanged; `RequestError` if impossible."""
    return _RULES[type(mutation)](tree, mutation)


def _parent(tree: Tree, number: InodeNumber) -> Inode:
    parent = tree.existing(number)
    if not parent.is_directory:
        raise NotADirectoryInTreeError(f"inode {number} is not a directory")
    if parent.nlink == 0:
        raise NotFoundError("the directory was removed")
    return parent


def _check_name(name: bytes) -> None:
    if len(name) > limits.NAME_BYTES_MAX:
        raise NameTooLongError(f"a name has at most {limits.NAME_BYTES_MAX} bytes")
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise InvalidArgumentError(f"not a name: {name!r}")


def _named(tree: Tree, directory: InodeNumber, name: bytes) -> tuple[InodeNumber, Inode]:
    number = tree.lookup(directory, name)
    if number is None:
        # Only now, off the usual way: what could never be there is refused as such, not as absent.
        _check_name(name)
        raise NotFoundError(f"no such name: {name!r}")
    return number, tree.named(name, number)


def _with_names(
    tree: Tree,
    directories: "Map[InodeNumber, Names]",
    number: InodeNumber,
    changes: dict[bytes, int],
) -> "Map[InodeNumber, Names]":
    names = directories.get(number, _NO_NAMES)
    for name, child in changes.items():
        if child or (number <= tree.base.last_inode and tree.base.lookup(number, name) is not None):
            names = names.set(name, InodeNumber(child))
        elif name in names:
            # Nothing below to hide: temporary names that come and go must not grow the overlay.
            names = names.delete(name)
    return directories.set(number, names)


def _made(tree: Tree, change: Create) -> Tree:
    parent = _parent(tree, change.parent)
    _check_name(change.name)
    if tree.lookup(change.parent, change.name) is not None:
        raise AlreadyExistsError(f"exists: {change.name!r}")
    if len(change.target) > limits.SYMLINK_BYTES_MAX:
        raise NameTooLongError(f"a symlink has at most {limits.SYMLINK_BYTES_MAX} bytes")
    directory = stat.S_ISDIR(change.mode)
    if directory and parent.nlink >= limits.LINKS_MAX:
        raise TooManyLinksError(f"a directory has at most {limits.LINKS_MAX} links")
    mode, gid = change.mode, change.gid
    if parent.mode & stat.S_ISGID:
        # inode_init_owner() of the kernel: group of the directory, subdirectories go on like it.
        gid = parent.gid
        mode |= stat.S_ISGID if directory else 0
    now = change.time_ns
    size = len(change.target)
    inode = Inode(
        mode,
        2 if directory else 1,
        change.uid,
        gid,
        size,
        now,
        now,
        now,
        now,
        change.parent,
        change.name,
        b"",
        change.target,
        change.rdev,
    )
    changed = with_fields(parent, mtime_ns=now, ctime_ns=now, nlink=parent.nlink + directory)
    return Tree(
        tree.base,
        tree.inodes.set(change.number, inode).set(change.parent, changed),
        tree.directories.set(
            change.parent,
            tree.directories.get(change.parent, _NO_NAMES).set(change.name, change.number),
        ),
        tree.unlinked,
        max(tree.last_inode, change.number),
    )


def _linked(tree: Tree, change: Link) -> Tree:
    parent = _parent(tree, change.parent)
    _check_name(change.name)
    inode = tree.existing(change.number)
    if tree.lookup(change.parent, change.name) is not None:
        raise AlreadyExistsError(f"exists: {change.name!r}")
    if inode.is_directory:
        raise NotPermittedError("a directory has one name")
    if inode.nlink >= limits.LINKS_MAX:
        raise TooManyLinksError(f"a file has at most {limits.LINKS_MAX} links")
    if inode.nlink == 0:
        linked = with_fields(
            inode,
            nlink=1,
            parent=change.parent,
            name=change.name,
            links=(),
            ctime_ns=change.time_ns,
        )
        unlinked = tree.unlinked
        unlinked = unlinked.delete(change.number) if change.number in unlinked else unlinked
    else:
        links = (*inode.links, (change.parent, change.name))
        linked = with_fields(inode, nlink=inode.nlink + 1, links=links, ctime_ns=change.time_ns)
        unlinked = tree.unlinked
    changed = with_fields(parent, mtime_ns=change.time_ns, ctime_ns=change.time_ns)
    inodes = tree.inodes.set(change.number, linked).set(change.parent, changed)
    names: dict[bytes, int] = {change.name: change.number}
    directories = _with_names(tree, tree.directories, change.parent, names)
    return Tree(tree.base, inodes, directories, unlinked, tree.last_inode)


def _without_dentry(inode: Inode, parent: InodeNumber, name: bytes, time_ns: int) -> Inode:
    """Returns the record with one dentry less; the first of the links may become the first."""
    if inode.is_directory or inode.nlink == 1:
        return with_fields(inode, nlink=0, links=(), ctime_ns=time_ns)
    first, links = (inode.parent, inode.name), inode.links
    try:
        if first == (parent, name):
            first, *rest = links
            links = tuple(rest)
        else:
            # A search and a copy in C: 65,000 links are removed one by one, too.
            index = links.index((parent, name))
            links = links[:index] + links[index + 1 :]
    except ValueError:
        raise CorruptTreeError(f"a record that does not know its name {name!r}") from None
    nlink, (first_parent, first_name) = inode.nlink - 1, first
    return with_fields(
        inode, nlink=nlink, parent=first_parent, name=first_name, links=links, ctime_ns=time_ns
    )


def _removed(tree: Tree, change: Remove) -> Tree:
    parent = _parent(tree, change.parent)
    number, inode = _named(tree, change.parent, change.name)
    if change.directory:
        if not inode.is_directory:
            raise NotADirectoryInTreeError(f"not a directory: {change.name!r}")
        if tree.has_entries(number):
            raise DirectoryNotEmptyError(f"not empty: {change.name!r}")
    elif inode.is_directory:
        raise IsADirectoryInTreeError(f"is a directory: {change.name!r}")
    gone = _without_dentry(inode, change.parent, change.name, change.time_ns)
    now, nlink = change.time_ns, parent.nlink - change.directory
    changed = with_fields(parent, mtime_ns=now, ctime_ns=now, nlink=nlink)
    inodes = tree.inodes.set(number, gone).set(change.parent, changed)
    directories = _with_names(tree, tree.directories, change.parent, {change.name: _WHITEOUT})
    unlinked = tree.unlinked if gone.nlink else tree.unlinked.set(number, None)
    return Tree(tree.base, inodes, directories, unlinked, tree.last_inode)


def _is_below(tree: Tree, number: InodeNumber, ancestor: InodeNumber) -> bool:
    if ancestor in (number, ROOT_INODE):
        return True
    return any(inode is not None and inode.parent == ancestor for inode in tree.upward(number))


def _moved(
    inode: Inode, old: tuple[InodeNumber, bytes], new: tuple[InodeNumber, bytes], time_ns: int
) -> Inode:
    if (inode.parent, inode.name) == old:
        return with_fields(inode, parent=new[0], name=new[1], ctime_ns=time_ns)
    return with_fields(
        inode, links=tuple(new if link == old else link for link in inode.links), ctime_ns=time_ns
    )


def _renamed(tree: Tree, change: Rename) -> Tree:
    if change.flags not in (0, RENAME_NOREPLACE, RENAME_EXCHANGE):
        raise InvalidArgumentError(f"rename flags {change.flags} are not supported")
    old, new = (change.parent, change.name), (change.new_parent, change.new_name)
    _parent(tree, change.parent)
    if (target := tree.existing(change.new_parent)).is_directory and target.nlink == 0:
        _named(tree, *old)  # the kernel looks it up before it says so
    _parent(tree, change.new_parent)
    number, inode = _named(tree, *old)
    _check_name(change.new_name)
    target_number = tree.lookup(*new)
    if target_number is None and change.flags == RENAME_EXCHANGE:
        raise NotFoundError(f"no such name: {change.new_name!r}")
    if target_number is not None and change.flags == RENAME_NOREPLACE:
        raise AlreadyExistsError(f"exists: {change.new_name!r}")
    if target_number == number:
        return tree
    if (
        inode.is_directory
        and change.parent != change.new_parent
        and _is_below(tree, change.new_parent, number)
    ):
        raise InvalidArgumentError("a directory cannot move into itself")
    if target_number is None:
        return _rename_to_free(tree, change, number, inode)
    if change.flags == RENAME_EXCHANGE:
        return _exchanged(tree, change, number, target_number)
    return _rename_over(tree, change, number, inode, target_number)


def _with_parents(
    tree: Tree,
    inodes: "Map[InodeNumber, Inode | None]",
    nlinks: dict[InodeNumber, int],
    time_ns: int,
) -> "Map[InodeNumber, Inode | None]":
    for number, difference in nlinks.items():
        parent = inodes.get(number) or tree.existing(number)
        if difference > 0 and parent.nlink + difference > limits.LINKS_MAX:
            raise TooManyLinksError(f"a directory has at most {limits.LINKS_MAX} links")
        nlink = parent.nlink + difference
        changed = with_fields(parent, mtime_ns=time_ns, ctime_ns=time_ns, nlink=nlink)
        inodes = inodes.set(number, changed)
    return inodes


def _rename_to_free(
    tree: Tree, change: Rename, number: InodeNumber, inode: Inode, directories_over: int = 0
) -> Tree:
    """Returns the tree with the dentry moved to a name that is free, or whose inode is cleared."""
    old, new = (change.parent, change.name), (change.new_parent, change.new_name)
    nlinks = {change.parent: 0, change.new_parent: 0}
    nlinks[change.new_parent] -= directories_over
    if inode.is_directory:
        nlinks[change.parent] -= 1
        nlinks[change.new_parent] += 1
    inodes = tree.inodes.set(number, _moved(inode, old, new, change.time_ns))
    directories = _with_names(tree, tree.directories, change.parent, {change.name: 0})
    directories = _with_names(tree, directories, change.new_parent, {change.new_name: number})
    inodes = _with_parents(tree, inodes, nlinks, change.time_ns)
    return Tree(tree.base, inodes, directories, tree.unlinked, tree.last_inode)


def _exchanged(tree: Tree, change: Rename, number: InodeNumber, target_number: InodeNumber) -> Tree:
    old, new = (change.parent, change.name), (change.new_parent, change.new_name)
    inode, target = tree.existing(number), tree.existing(target_number)
    if target.is_directory and _is_below(tree, change.parent, target_number):
        raise InvalidArgumentError("a directory cannot move into itself")
    nlinks = {change.parent: 0, change.new_parent: 0}
    nlinks[change.parent] += target.is_directory - inode.is_directory
    nlinks[change.new_parent] += inode.is_directory - target.is_directory
    inodes = tree.inodes.set(number, _moved(inode, old, new, change.time_ns))
    inodes = inodes.set(target_number, _moved(target, new, old, change.time_ns))
    directories = _with_names(tree, tree.directories, change.parent, {change.name: target_number})
    directories = _with_names(tree, directories, change.new_parent, {change.new_name: number})
    inodes = _with_parents(tree, inodes, nlinks, change.time_ns)
    return Tree(tree.base, inodes, directories, tree.unlinked, tree.last_inode)


def _rename_over(
    tree: Tree, change: Rename, number: InodeNumber, inode: Inode, target_number: InodeNumber
) -> Tree:
    target = tree.existing(target_number)
    if target.is_directory and not inode.is_directory:
        if _is_below(tree, change.parent, target_number):
            # The kernel looks at this first: the target holds the source, so it is not empty.
            raise DirectoryNotEmptyError(f"not empty: {change.new_name!r}")
        raise IsADirectoryInTreeError(f"is a directory: {change.new_name!r}")
    if inode.is_directory and not target.is_directory:
        raise NotADirectoryInTreeError(f"not a directory: {change.new_name!r}")
    if target.is_directory and tree.has_entries(target_number):
        raise DirectoryNotEmptyError(f"not empty: {change.new_name!r}")
    gone = _without_dentry(target, change.new_parent, change.new_name, change.time_ns)
    inodes = tree.inodes.set(target_number, gone)
    unlinked = tree.unlinked if gone.nlink else tree.unlinked.set(target_number, None)
    cleared = Tree(tree.base, inodes, tree.directories, unlinked, tree.last_inode)
    return _rename_to_free(
        cleared, change, number, inode, directories_over=int(target.is_directory)
    )


def _reaped(tree: Tree, change: Reap) -> Tree:
    inodes, directories, unlinked = tree.inodes, tree.directories, tree.unlinked
    for number in change.numbers:
        if number not in unlinked:
            continue
        unlinked = unlinked.delete(number)
        inodes = (
            inodes.set(number, None) if number <= tree.base.last_inode else inodes.delete(number)
        )
        if number in directories:
            directories = directories.delete(number)
    return Tree(tree.base, inodes, directories, unlinked, tree.last_inode)


def _adopted(tree: Tree, change: Adopt) -> Tree:
    inode = with_fields(change.inode, nlink=0, links=())
    return Tree(
        tree.base,
        tree.inodes.set(change.number, inode),
        tree.directories,
        tree.unlinked.set(change.number, None),
        max(tree.last_inode, change.number),
    )


def _grafted(tree: Tree, change: Graft) -> Tree:
    inodes, directories, unlinked = tree.inodes, tree.directories, tree.unlinked
    last = tree.last_inode
    for number, inode in change.inodes:
        if inode is None:
            directories = directories.delete(number) if number in directories else directories
        elif inode.is_directory and tree.inode(number) is None and number <= tree.base.last_inode:
            # It was reaped, and what hid its names in the base went with it: it comes back empty.
            hidden = {name: _WHITEOUT for name, _ in tree.base.entries(number)}
            directories = directories.set(number, Map(hidden))
        if inode is None and number > tree.base.last_inode:
            inodes = inodes.delete(number) if number in inodes else inodes
        else:
            inodes = inodes.set(number, inode)
        if inode is not None and inode.nlink == 0:
            unlinked = unlinked.set(number, None)
        elif number in unlinked:
            unlinked = unlinked.delete(number)
        last = max(last, number)
    for parent, name, child in change.dentries:
        directories = _with_names(tree, directories, parent, {name: child})
    return Tree(tree.base, inodes, directories, unlinked, last)


_RULES: dict[type, Callable[[Tree, Any], Tree]] = {
    Create: _made,
    Link: _linked,
    Remove: _removed,
    Rename: _renamed,
    Write: edit_file.written,
    SetAttributes: edit_file.set_attributes,
    Allocate: edit_file.allocated,
    SetXattr: edit_file.set_xattr,
    RemoveXattr: edit_file.removed_xattr,
    Share: edit_file.shared,
    Reap: _reaped,
    Adopt: _adopted,
    Graft: _grafted,
}
