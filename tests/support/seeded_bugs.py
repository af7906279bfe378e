"""Mistakes put into the rules of the model, the handlers, the mount, what the kernel is told.

A test that compares with something outside is worth what it finds. Each of these is a mistake that
is easily made and shows in one call of many; `plant` makes it, for a process of its own.
"""

import ctypes
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pyi_fs.fuse import device, metadata
from pyi_fs.fuse.files import FileHandlers
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.invalidation import Invalidation
from pyi_fs.fuse.state import Caller
from pyi_fs.ids import NodeId
from pyi_fs.model import edit, extent
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import (
    Create,
    Link,
    Remove,
    Rename,
    SetAttributes,
    Write,
)
from pyi_fs.model.tree import Tree

Rule = Callable[[Tree, Any], Tree]


def _with_inode(tree: Tree, number: int, **fields: object) -> Tree:
    changed: Inode = with_fields(tree.existing(number), **fields)  # type: ignore[arg-type]
    return Tree(
        tree.base,
        tree.inodes.set(number, changed),  # type: ignore[arg-type]
        tree.directories,
        tree.unlinked,
        tree.last_inode,
    )


def _replaced_keeps_its_links(tree: Tree, change: Rename, rule: Rule) -> Tree:
    """A rename over one of several names of a file does not count it down."""
    target = tree.lookup(change.new_parent, change.new_name)
    before = tree.inode(target) if target is not None else None
    after = rule(tree, change)
    left = after.inode(target) if target is not None else None
    if before is None or left is None or left.is_directory or not 0 < left.nlink < before.nlink:
        return after
    return _with_inode(after, target or 0, nlink=before.nlink)


def _chmod_keeps_ctime(tree: Tree, change: SetAttributes, rule: Rule) -> Tree:
    """A chmod does not change ctime."""
    after = rule(tree, change)
    if change.mode is None or change.size is not None:
        return after
    return _with_inode(after, change.number, ctime_ns=tree.existing(change.number).ctime_ns)


def _full_directory_goes(tree: Tree, change: Remove, rule: Rule) -> Tree:
    """An rmdir takes what is in the directory along."""
    number = tree.lookup(change.parent, change.name)
    if not change.directory or number is None or not tree.existing(number).is_directory:
        return rule(tree, change)
    for name, child in tuple(tree.entries(number)):
        is_directory = tree.existing(child).is_directory
        tree = _full_directory_goes(tree, Remove(number, name, is_directory, change.time_ns), rule)
    return rule(tree, change)


def _truncate_leaves_a_byte(tree: Tree, change: SetAttributes, rule: Rule) -> Tree:
    """A truncate keeps one byte too many: it is there again when the file grows."""
    after = rule(tree, change)
    before = tree.existing(change.number)
    if change.size is None or change.size >= before.size:
        return after
    kept = extent.without_range(before.extents, change.size + 1, max(before.size, change.size + 1))
    return _with_inode(after, change.number, extents=kept)


def _kernel_keeps_set_id(tree: Tree, change: SetAttributes, rule: Rule) -> Tree:
    """The kernel asks, with a change of nothing, to take the bits away before a write."""
    is_write = (change.mode, change.uid, change.gid, change.size) == (None,) * 4
    return rule(tree, with_fields(change, clear_setid=False) if is_write else change)


def _write_keeps_set_id(tree: Tree, change: Write, rule: Rule) -> Tree:
    """A stranger's write leaves set-id bits, whichever way the kernel says it."""
    return rule(tree, with_fields(change, clear_setid=False))


def _chown_keeps_set_id(tree: Tree, change: SetAttributes, rule: Rule) -> Tree:
    """A chown leaves set-id bits."""
    is_chown = (change.uid, change.gid) != (None, None)
    return rule(tree, with_fields(change, clear_setid=False) if is_chown else change)


def _unlink_keeps_mtime(tree: Tree, change: Remove, rule: Rule) -> Tree:
    """A directory from which a name went has the mtime it had."""
    after = rule(tree, change)
    return _with_inode(after, change.parent, mtime_ns=tree.existing(change.parent).mtime_ns)


def _link_keeps_ctime(tree: Tree, change: Link, rule: Rule) -> Tree:
    """A file that got another name has the ctime it had."""
    after = rule(tree, change)
    return _with_inode(after, change.number, ctime_ns=tree.existing(change.number).ctime_ns)


def _group_of_the_maker(tree: Tree, change: Create, rule: Rule) -> Tree:
    """What is made in a set-group-id directory has the group of who made it."""
    after = rule(tree, change)
    return _with_inode(after, change.number, gid=change.gid)


def _moved_directory_not_counted(tree: Tree, change: Rename, rule: Rule) -> Tree:
    """The directory that another one was moved into does not count it."""
    moved = tree.lookup(change.parent, change.name)
    after = rule(tree, change)
    inode = tree.inode(moved) if moved is not None else None
    if inode is None or not inode.is_directory or change.parent == change.new_parent:
        return after
    nlink = tree.existing(change.new_parent).nlink
    return _with_inode(after, change.new_parent, nlink=nlink)


IN_THE_MODEL: dict[str, dict[type, Callable[[Tree, Any, Rule], Tree]]] = {
    "a replaced file keeps its links": {Rename: _replaced_keeps_its_links},
    "chmod keeps ctime": {SetAttributes: _chmod_keeps_ctime},
    "a full directory is removed": {Remove: _full_directory_goes},
    "truncate leaves a byte": {SetAttributes: _truncate_leaves_a_byte},
    "write keeps set-id bits": {
        Write: _write_keeps_set_id,
        SetAttributes: _kernel_keeps_set_id,
    },
    "chown keeps set-id bits": {SetAttributes: _chown_keeps_set_id},
    "unlink keeps the directory's mtime": {Remove: _unlink_keeps_mtime},
    "link keeps ctime": {Link: _link_keeps_ctime},
    "the maker's group in a set-group-id directory": {Create: _group_of_the_maker},
    "a moved directory is not counted": {Rename: _moved_directory_not_counted},
}
"""Name -> mutations, and what is done instead of their rules."""


def _any_namespace(name: bytes) -> None:
    """Attributes may have any name."""


_open = FileHandlers.open


def _opened_as_it_was(self: FileHandlers, node: NodeId, flags: int, caller: Caller) -> HandleId:
    """Opening does not truncate."""
    return _open(self, node, flags & ~os.O_TRUNC, caller)


IN_THE_HANDLERS: dict[str, tuple[object, str, object]] = {
    "attributes of any namespace": (metadata, "_check_xattr_name", _any_namespace),
    "truncate and chown keep set-id bits": (metadata, "SETID_BITS", 0),
    "opening truncates nothing": (FileHandlers, "open", _opened_as_it_was),
}
"""Name -> whose attribute is what instead."""


def _nobody_is_checked() -> None:
    """The kernel is not asked to look at permissions, groups and sticky bits."""

    def library(name: str | None, **options: Any) -> SimpleNamespace:
        real = ctypes.CDLL(name, **options)

        def mount(source: bytes, target: bytes, kind: bytes, flags: object, data: bytes) -> int:
            words = [word for word in data.split(b",") if word != b"default_permissions"]
            failed: int = real.mount(source, target, kind, flags, b",".join(words))
            return failed

        return SimpleNamespace(mount=mount)

    stand_in = SimpleNamespace(CDLL=library, c_ulong=ctypes.c_ulong, get_errno=ctypes.get_errno)
    device.__dict__["ctypes"] = stand_in


def _names_are_not_forgotten() -> None:
    """The kernel is not told that a restore changed names."""
    Invalidation.all_names = lambda self: None  # type: ignore[method-assign]


IN_THE_MOUNT: dict[str, Callable[[], None]] = {
    "nobody is checked": _nobody_is_checked,
    "restored names are not told": _names_are_not_forgotten,
}
"""Name -> what makes the mistake, in the process that mounts."""

NAMES = (*IN_THE_MODEL, *IN_THE_MOUNT)
"""Those that are planted in a process that mounts."""


def rules_with(name: str) -> dict[type, Rule]:
    """Returns the rules that have the mistake, by mutation."""
    right = edit._RULES  # noqa: SLF001 - what everybody applies is to be wrong

    def wrong(kind: type, change_rule: Callable[[Tree, Any, Rule], Tree]) -> Rule:
        rule = right[kind]
        return lambda tree, change: change_rule(tree, change, rule)

    return {kind: wrong(kind, mistake) for kind, mistake in IN_THE_MODEL[name].items()}


def plant(name: str) -> None:
    """Makes the mistake, for the rest of this process."""
    if name in IN_THE_MODEL:
        edit._RULES.update(rules_with(name))  # noqa: SLF001 - see above
    else:
        IN_THE_MOUNT[name]()
