"""A server that died at any line of any request has a successor that answers it, once.

Each case is one request on a small mount. It is carried out by a server that is killed before a
line of our code; its successor is sent the request again, and answer, tree, log, known nodes and
open handles must be those of a server that was not killed.
"""

import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pyi_fs.control import ioctls
from pyi_fs.control.log import log_line
from pyi_fs.errors import PyiError
from pyi_fs.fuse.handles import FileHandle, HandleId
from pyi_fs.fuse.protocol import Opcode
from pyi_fs.ids import BranchName, InodeNumber, NodeId
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support import fuse_structs as structs
from tests.support.fuse_structs import EntryOut, OpenOut
from tests.support.takeover_rig import Server, again, die_in, lines_of

UNIQUE = 1_000_000
ENTRIES = frozenset(
    (
        Opcode.CREATE,
        Opcode.MKDIR,
        Opcode.MKNOD,
        Opcode.SYMLINK,
        Opcode.LINK,
        Opcode.LOOKUP,
        Opcode.TMPFILE,
    )
)
ENTRY_BYTES = 128


class Place(NamedTuple):
    """What the cases find: nodes and handles of the prepared mount."""

    directory: int
    file: int
    other: int
    writer: int
    reader: int
    listing: int
    control: dict[str, tuple[int, int]]


class Case(NamedTuple):
    """One request: opcode, and what makes node and body of it."""

    opcode: Opcode
    make: Callable[[Place], tuple[int, bytes]]


def name(text: str) -> bytes:
    """Returns a name as it is in a request."""
    return text.encode() + b"\0"


def command(file: str, text: str) -> Callable[[Place], tuple[int, bytes]]:
    """Returns what writes to a control file."""

    def make(place: Place) -> tuple[int, bytes]:
        node, handle = place.control[file]
        data = text.encode()
        return node, bytes(structs.WriteIn(handle, 0, len(data), 0, 0, 0, 0)) + data

    return make


def ask(file: str) -> Callable[[Place], tuple[int, bytes]]:
    """Returns what reads a control file."""

    def make(place: Place) -> tuple[int, bytes]:
        node, handle = place.control[file]
        return node, bytes(structs.ReadIn(handle, 0, 4096, 0, 0, 0, 0))

    return make


def ioctl(number: int, text: str) -> Callable[[Place], tuple[int, bytes]]:
    """Returns what asks a command of an open file."""

    def make(place: Place) -> tuple[int, bytes]:
        head = structs.IoctlIn(place.reader, 0, number, 0, ioctls.TEXT_BYTES, ioctls.TEXT_BYTES)
        return place.file, bytes(head) + text.encode().ljust(ioctls.TEXT_BYTES, b"\0")

    return make


def renamed(old: str, new: str, flags: int = 0) -> Callable[[Place], tuple[int, bytes]]:
    """Returns what moves a name within the root."""
    return lambda _: (1, bytes(structs.Rename2In(1, flags, 0)) + name(old) + name(new))


CASES = {
    "create": Case(
        Opcode.CREATE,
        lambda _: (1, bytes(structs.CreateIn(os.O_RDWR, stat.S_IFREG | 0o644, 0, 0)) + name("new")),
    ),
    "mkdir": Case(
        Opcode.MKDIR, lambda p: (p.directory, bytes(structs.MkdirIn(0o755, 0)) + name("n"))
    ),
    "mknod": Case(
        Opcode.MKNOD,
        lambda _: (1, bytes(structs.MknodIn(stat.S_IFIFO | 0o600, 0, 0, 0)) + name("n")),
    ),
    "symlink": Case(Opcode.SYMLINK, lambda _: (1, name("n") + name("target"))),
    "link": Case(Opcode.LINK, lambda p: (1, p.file.to_bytes(8, "little") + name("n"))),
    "unlink an open file": Case(Opcode.UNLINK, lambda _: (1, name("file"))),
    "unlink": Case(Opcode.UNLINK, lambda _: (1, name("closed"))),
    "rmdir": Case(Opcode.RMDIR, lambda _: (1, name("empty"))),
    "rename": Case(Opcode.RENAME2, renamed("file", "moved")),
    "rename over": Case(Opcode.RENAME2, renamed("closed", "file")),
    "exchange": Case(Opcode.RENAME2, renamed("file", "closed", 2)),
    "setxattr": Case(
        Opcode.SETXATTR,
        lambda p: (p.file, bytes(structs.SetxattrIn(1, os.XATTR_CREATE)) + name("user.n") + b"x"),
    ),
    "removexattr": Case(Opcode.REMOVEXATTR, lambda p: (p.file, name("user.there"))),
    "open": Case(Opcode.OPEN, lambda p: (p.file, bytes(structs.OpenIn(os.O_RDWR, 0)))),
    "truncating open": Case(
        Opcode.OPEN, lambda p: (p.file, bytes(structs.OpenIn(os.O_RDWR | os.O_TRUNC, 0)))
    ),
    "write": Case(
        Opcode.WRITE,
        lambda p: (p.file, bytes(structs.WriteIn(p.writer, 3, 4, 0, 0, 0, 0)) + b"more"),
    ),
    "lookup": Case(Opcode.LOOKUP, lambda _: (1, name("closed"))),
    "release": Case(Opcode.RELEASE, lambda p: (p.file, p.writer.to_bytes(8, "little") + bytes(16))),
    "opendir": Case(Opcode.OPENDIR, lambda _: (1, bytes(8))),
    "readdir": Case(
        Opcode.READDIR, lambda p: (1, bytes(structs.ReadIn(p.listing, 0, 4096, 0, 0, 0, 0)))
    ),
    "unnamed": Case(
        Opcode.TMPFILE,
        lambda p: (
            p.directory,
            bytes(structs.CreateIn(os.O_RDWR, stat.S_IFREG | 0o644, 0, 0)) + name("#"),
        ),
    ),
    "snapshot": Case(Opcode.READ, ask("snapshot")),
    "named snapshot": Case(Opcode.WRITE, command("snapshot", "named")),
    "restore": Case(Opcode.WRITE, command("restore", "first")),
    "restore of a path": Case(Opcode.WRITE, command("restore", "first\tfile")),
    "undo": Case(Opcode.WRITE, command("undo", "x")),
    "branch": Case(Opcode.WRITE, command("branch", "made")),
    "head": Case(Opcode.WRITE, command("head", "side")),
    "drop": Case(Opcode.WRITE, command("drop", "side")),
    "snapshot by ioctl": Case(Opcode.IOCTL, ioctl(ioctls.SNAPSHOT, "")),
    "fork": Case(Opcode.WRITE, command("fork", "forked")),
    "fork by ioctl": Case(Opcode.IOCTL, ioctl(ioctls.FORK, "forked")),
    "restore by ioctl": Case(Opcode.IOCTL, ioctl(ioctls.RESTORE, "first")),
}
# In the short form so many lines of each request are died at, spread over all of them.
LINES_SHORT = 8


def prepared(directory: Path) -> tuple[Server, Place]:
    """Returns a server with files that are open, a snapshot, and changes since."""
    server = Server(directory)
    body = bytes(structs.CreateIn(os.O_RDWR, stat.S_IFREG | 0o644, 0, 0))
    made = {}
    for text in ("file", "closed"):
        _, answer = server.ask(Opcode.CREATE, body + name(text))
        node = EntryOut.from_buffer_copy(answer).nodeid
        made[text] = (node, OpenOut.from_buffer_copy(answer, ENTRY_BYTES).fh)
        written = bytes(structs.WriteIn(made[text][1], 0, 5, 0, 0, 0, 0)) + b"first"
        assert server.ask(Opcode.WRITE, written, node=node)[0] == 0
    node, writer = made["file"]
    there = bytes(structs.SetxattrIn(1, 0)) + name("user.there") + b"x"
    assert server.ask(Opcode.SETXATTR, there, node=node)[0] == 0
    closed, handle = made["closed"]
    server.ask(Opcode.RELEASE, handle.to_bytes(8, "little") + bytes(16), node=closed)
    directories = []
    for text in ("directory", "empty"):
        _, answer = server.ask(Opcode.MKDIR, bytes(structs.MkdirIn(0o755, 0)) + name(text))
        directories.append(EntryOut.from_buffer_copy(answer).nodeid)
    server.workspace.snapshot(server.branch, name="first")
    server.workspace.make_branch("side", server.branch)
    changed = bytes(structs.WriteIn(writer, 0, 6, 0, 0, 0, 0)) + b"second"
    assert server.ask(Opcode.WRITE, changed, node=node)[0] == 0
    server.workspace.restore(server.branch, "first")
    changed = bytes(structs.WriteIn(writer, 0, 6, 0, 0, 0, 0)) + b"orphan"
    assert server.ask(Opcode.WRITE, changed, node=node)[0] == 0
    node = server.lookup("file").nodeid
    writer = server.opened(node, os.O_RDWR).fh
    changed = bytes(structs.WriteIn(writer, 0, 5, 0, 0, 0, 0)) + b"third"
    assert server.ask(Opcode.WRITE, changed, node=node)[0] == 0
    reader = server.opened(node, os.O_RDONLY).fh
    listing = server.opened(1, opcode=Opcode.OPENDIR).fh
    control = {}
    top = server.lookup(".pyi").nodeid
    for text in ("snapshot", "restore", "undo", "branch", "head", "drop", "fork"):
        found = server.lookup(text, top).nodeid
        control[text] = (found, server.opened(found, os.O_RDWR).fh)
    server.ledger.commit()
    place = Place(directories[0], node, closed, writer, reader, listing, control)
    return server, place


def labels(server: Server) -> dict[InodeNumber, str]:
    """Returns what to call each inode of the root's tree: numbers depend on how often one dies."""
    tree = server.session.root.tree
    found = {}
    for number in tree.numbers():
        inode = tree.existing(number)
        names = "+".join(sorted(f"{up}/{text.decode()}" for up, text in inode.dentries()))
        data = server.workspace.reader.read(inode, 0, 100) if inode.is_file else inode.target
        found[number] = names or f"unlinked {bytes(data)!r}"
    return found


def label(server: Server, node: NodeId) -> str:
    """Returns what a node stands for."""
    try:
        view, number = server.state.nodes.place(node)
    except PyiError as error:
        return type(error).__name__
    return f"{view.label}: {labels(server).get(number) if view is server.session.root else number}"


def seen(server: Server, place: Place) -> dict[str, object]:
    """Returns everything about a mount that must not depend on a death."""
    tree, called = server.session.root.tree, labels(server)
    found: dict[str, object] = {}
    for number, text in called.items():
        inode = tree.existing(number)
        names = sorted(text for text, _ in tree.entries(number)) if inode.is_directory else []
        data = server.workspace.reader.read(inode, 0, 100) if inode.is_file else inode.target
        found[text] = (inode.mode, inode.nlink, bytes(data), inode.xattrs, names)
    found["open"] = server.open_count()
    found["known"] = sorted(label(server, node) for node in server.counts())
    operations = [type(operation).__name__ for _, operation in server.workspace.log.operations()]
    found["log"] = [kind for kind in operations if kind not in ("Reserve", "Continue")]
    found["workspaces"] = server.store.workspace_names()
    found["head"] = server.session.root.name
    for handle in (place.writer, place.reader):
        try:
            file = server.state.handles.file(HandleId(handle))
        except PyiError:
            continue
        assert isinstance(file, FileHandle)
        inode = file.view.tree.existing(file.number)
        found[f"handle {handle}"] = bytes(server.workspace.reader.read(inode, 0, 100))
    return found


def handle(server: Server, body: bytes) -> tuple[object, ...]:
    """Returns what an open answered: numbers of handles depend on how often one dies."""
    opened = OpenOut.from_buffer_copy(body)
    found = server.state.handles.get(opened.fh)
    return (
        type(found),
        getattr(found, "writable", None),
        label(server, found.node),
        opened.open_flags,
    )


def plain(server: Server, error: int, body: bytes, case: Case) -> tuple[object, ...]:
    """Returns what of an answer can be compared: times, numbers and ids of snapshots differ."""
    if case.opcode in ENTRIES:
        node = EntryOut.from_buffer_copy(body).nodeid
        return (
            error,
            label(server, node),
            *(handle(server, body[n:]) for n in (ENTRY_BYTES,) if body[n:]),
        )
    if case.opcode in (Opcode.OPEN, Opcode.OPENDIR):
        return error, handle(server, body)
    if case.opcode in (Opcode.READ, Opcode.IOCTL):
        return error, body.partition(b"\t")[2]
    return error, body


@pytest.mark.parametrize("kind", CASES)
def test_a_death_at_any_line_of_a_request_is_not_seen(tmp_path, kind, request):
    case = CASES[kind]
    server, place = prepared(tmp_path / "count")
    node, body = case.make(place)
    count = lines_of(server, case.opcode, body, node)
    server.close()
    server, place = prepared(tmp_path / "whole")
    node, body = case.make(place)
    answer = server.serve(case.opcode, body, node=node, unique=UNIQUE)
    expected = seen(server, place), plain(server, *answer, case)
    server.close()
    step = 1 if request.config.getoption("--long") else max(1, count // LINES_SHORT)
    died = 0
    for line in range(1, count + 1, step):
        server, place = prepared(tmp_path / f"line-{line}")
        node, body = case.make(place)
        has_died = die_in(server, line, case.opcode, body, node, UNIQUE)
        died += has_died
        ledger = server.leave()
        successor = Server(tmp_path / f"line-{line}", ledger)
        if has_died:
            error, found = successor.serve(case.opcode, body, node=node, unique=again(UNIQUE))
            assert plain(successor, error, found, case) == expected[1], f"line {line} of {count}"
        assert seen(successor, place) == expected[0], f"line {line} of {count}"
        successor.close()
    assert died


def test_what_the_log_tells_is_readable_after_a_takeover(tmp_path):
    server, _ = prepared(tmp_path / "store")
    successor = Server(tmp_path / "store", server.leave())
    operations = successor.workspace.log.operations()
    assert all(log_line(number, operation) is not None for number, operation in operations)
    successor.close()


def test_a_log_that_is_being_read_goes_on_however_much_of_it_was_read(tmp_path, monkeypatch):
    """What may be skipped of an answer is bounded; what another server gave out was read."""
    monkeypatch.setattr("pyi_fs.control.streamed.SKIPPED_BYTES_MAX", 100)
    monkeypatch.setattr("pyi_fs.control.streamed.PART_BYTES_MAX", 200)
    server, _ = prepared(tmp_path / "store")
    for number in range(20):
        server.workspace.snapshot(server.branch, name=f"s{number}")
    control = server.lookup("log", server.lookup(".pyi").nodeid).nodeid
    handle = server.opened(control).fh

    def read(of: Server, offset: int) -> bytes:
        body = struct.pack("<QQIIQII", handle, offset, 4096, 0, 0, 0, 0)
        error, found = of.serve(Opcode.READ, body, node=control, unique=UNIQUE + offset)
        assert error == 0
        return found

    whole = b""
    while part := read(server, len(whole)):
        whole += part
    assert len(whole) > 1000
    successor = Server(tmp_path / "store", server.leave())
    offset = len(whole) - 50
    assert read(successor, offset) == whole[offset:]
    successor.close()


@pytest.mark.parametrize("was_open", [False, True])
def test_a_branch_that_was_only_listed_is_not_held_by_the_next_server(tmp_path, was_open):
    """The kernel knows its directory either way; the last server's locks tell whether it was."""
    server, _ = prepared(tmp_path / "store")
    branches = server.lookup("branches", server.lookup(".pyi").nodeid).nodeid
    handle = server.opened(branches, opcode=Opcode.OPENDIR).fh
    body = struct.pack("<QQIIQII", handle, 0, 4096, 0, 0, 0, 0)
    _, listed = server.ask(Opcode.READDIRPLUS, body, node=branches)
    assert b"side" in listed
    server.ask(Opcode.RELEASEDIR, handle.to_bytes(24, "little"), node=branches)
    if was_open:
        server.lookup("side", branches)
    assert (server.workspace.opened(BranchName("side")) is not None) == was_open
    disk = server.workspace.store.storage.disk
    assert isinstance(disk, DirectoryStorage)
    inherited = {path: os.dup(descriptor) for path, descriptor in disk.held_locks().items()}
    successor = Server(tmp_path / "store", server.leave(), inherited)
    assert (successor.workspace.opened(BranchName("side")) is not None) == was_open
    assert stat.S_ISDIR(successor.lookup("side", branches).attr.mode)
    assert successor.workspace.opened(BranchName("side")) is not None
    successor.close()
