"""What a workspace shows and what differs between two of its trees, found the obvious way."""

from pyi_fs.engine.reader import Reader
from pyi_fs.ids import InodeNumber
from pyi_fs.model.diff import Change
from pyi_fs.model.tree import Tree
from tests.support.oracle import Content, Node, Oracle


def oracle_of(reader: Reader, tree: Tree) -> Oracle:
    """Returns an oracle that shows what a tree does, unlinked files included."""
    oracle = Oracle(Content(), 0, 0, 0, 0)
    oracle.nodes.clear()
    for number in tree.numbers():
        inode = tree.existing(number)
        times = (inode.atime_ns, inode.mtime_ns, inode.ctime_ns, inode.btime_ns)
        node = Node(inode.mode, inode.uid, inode.gid, inode.rdev, inode.target, *times)
        node.data += reader.read_all(inode) if inode.is_file else b""
        node.xattrs.update(inode.xattrs)
        node.names.update(tree.entries(number) if inode.is_directory else ())
        oracle.nodes[number] = node
    return oracle


def linked(oracle: Oracle) -> dict[object, object]:
    """Returns the picture of all that has a name."""
    return {
        number: seen for number, seen in oracle.picture().items() if oracle.nlink(int(str(number)))
    }


def reap(oracle: Oracle) -> None:
    """Takes away what has no name."""
    for number in [number for number in oracle.nodes if not oracle.nlink(number)]:
        del oracle.nodes[number]


def paths_of(oracle: Oracle) -> dict[bytes, int]:
    """Returns every path but the root's, with the number there."""
    found: dict[bytes, int] = {}

    def walk(number: int, prefix: bytes) -> None:
        for name, child in oracle.nodes[number].names.items():
            found[prefix + name] = child
            walk(child, prefix + name + b"/")

    walk(InodeNumber(1), b"")
    return found


def assert_changes_lead(old: Oracle, new: Oracle, changes: list[Change]) -> None:
    """Carried out on the old paths, the changes give the new ones; what differs is named."""
    before, after = paths_of(old), paths_of(new)
    deleted = {change.path for change in changes if change.letter == "D"}
    added = {change.path for change in changes if change.letter == "A"}
    moved = {change.old_path: change.path for change in changes if change.letter == "R"}
    altered = {change.path: change.letter for change in changes if change.letter in "MTP"}
    assert deleted <= before.keys()
    assert added <= after.keys()
    assert all(before[one] == after[other] for one, other in moved.items() if one is not None)
    arrived: dict[bytes, bytes] = {}
    for path in before.keys() - deleted:
        start = max(
            (one for one in moved if one is not None and (path + b"/").startswith(one + b"/")),
            key=len,
            default=None,
        )
        target = path if start is None else moved[start] + path[len(start) :]
        assert target not in arrived, (target, path, arrived[target])
        arrived[target] = path
    assert not arrived.keys() & added
    assert arrived.keys() | added == after.keys(), (arrived.keys() | added) ^ after.keys()
    for target, path in arrived.items():
        _assert_named(old, before[path], new, after[target], altered.pop(target, ""))
    assert not altered


def _assert_named(old: Oracle, number: int, new: Oracle, other: int, letter: str) -> None:
    one, two = old.nodes[number], new.nodes[other]
    kind = one.mode >> 12 != two.mode >> 12
    assert (letter == "T") == kind
    if kind:
        return
    owned = (one.mode, one.uid, one.gid, one.xattrs) != (two.mode, two.uid, two.gid, two.xattrs)
    if one.is_directory:
        assert letter == ("P" if owned else "")
        return
    content = (one.data, one.target, one.rdev) != (two.data, two.target, two.rdev)
    if content or number != other:
        assert letter == "M"
    elif owned or one.mtime_ns != two.mtime_ns:
        assert letter in ("P", "M")
    else:
        assert letter in ("", "M")
