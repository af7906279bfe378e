"""Requests sent again; the deaths themselves are in `test_takeover.py`."""

import errno
import os

import trio
import trio.testing

from pyi_fs.control import ioctls
from pyi_fs.engine.branch import Branch
from pyi_fs.fuse.commands import BEGUN_TABLE, DONE_TABLE, REQUEST
from pyi_fs.fuse.in_flight import DIED
from pyi_fs.fuse.ledger import MemoryLedger, Word
from pyi_fs.fuse.nodes import VIEW_BITS
from pyi_fs.fuse.protocol import RESENT, Opcode, OpenFlag
from pyi_fs.fuse.resent import CHANGES
from pyi_fs.ids import ROOT_INODE, BranchName, NodeId
from pyi_fs.store.leases import leased
from tests.support import fuse_structs as structs
from tests.support.fuse_rig import ROOT
from tests.support.fuse_structs import request
from tests.support.takeover_rig import Server, again


def test_a_request_that_ended_three_servers_is_refused(tmp_path, caplog):
    ledger = None
    answers = []
    for _ in range(5):
        server = Server(tmp_path, ledger)
        if ledger is not None:
            answers.append(server.serve(Opcode.MKDIR, bytes(8) + b"new\0", unique=again(1_000))[0])
            server.ask(Opcode.RMDIR, b"new\0")
        # Dead in the middle of it.
        server.ledger.words[Word.REQUEST] = 1_000
        ledger = server.leave()
    assert answers == [0, 0, errno.EIO, errno.EIO]
    refusals = [one.message for one in caplog.records if one.levelname == "ERROR"]
    assert "request 1000 (opcode 9) ended the server 3 times: it gets EIO" in refusals


def test_a_death_between_two_requests_is_no_requests_fault(tmp_path):
    server = Server(tmp_path)
    server.make(ROOT, "file")
    for _ in range(5):
        server = Server(tmp_path, server.leave())
    assert server.serve(Opcode.MKDIR, bytes(8) + b"new\0", unique=again(1_000))[0] == 0
    server.close()


def test_a_lookup_that_was_answered_is_not_taken_back(tmp_path):
    """Neither for the next request, nor for a command that began when others had come between."""
    for begin in ("take", "command"):
        place = tmp_path / begin
        server = Server(place)
        node = server.make(ROOT, "file")
        server.lookup("file")
        counted = server.ledger.words[Word.COUNTED]
        assert counted == node
        seen: list[tuple[int, int]] = []

        def died(server=server, seen=seen):
            words = server.ledger.words
            seen.append((words[Word.REQUEST], words[Word.COUNTED]))

        if begin == "take":
            server.transport._handlers[Opcode.STATFS] = lambda *_: died() or b""  # noqa: SLF001
            server.ask(Opcode.STATFS)
        else:
            token = REQUEST.set(1_000)
            server.state.commands.do(server.session.root, died, bool)
            REQUEST.reset(token)
        assert [noted[1] for noted in seen] == [0]
        assert seen[0][0]
        server.close()


def test_what_an_open_file_of_a_dropped_branch_reads_is_leased_again(tmp_path):
    server = Server(tmp_path)
    server.workspace.make_branch("side", server.branch)
    view = server.session.view_of_branch(BranchName("side"))
    assert view is not None
    node = server.make(NodeId(view.number << VIEW_BITS | ROOT_INODE), "file")
    server.open(node)
    server.session.drop("side")
    server.ledger.commit()
    (read,) = server.state.read_positions()
    successor = Server(tmp_path, server.leave())
    assert read in set(leased(successor.store.storage))
    successor.close()


def test_a_handle_is_that_of_the_request_that_opened_it(tmp_path):
    server = Server(tmp_path)
    node = server.make(ROOT, "file")
    body = bytes(structs.OpenIn(os.O_RDWR, 0))
    _, first = server.serve(Opcode.OPEN, body, node=node, unique=1_000)
    successor = Server(tmp_path, server.leave())
    _, second = successor.serve(Opcode.OPEN, body, node=node, unique=again(1_000))
    _, third = successor.serve(Opcode.OPEN, body, node=node, unique=again(1_002))
    assert first == second != third
    assert successor.open_count() == 2
    successor.close()


def test_an_open_that_was_passed_through_is_so_again(tmp_path):
    """By the same id: the kernel may have the node open by it already."""
    server = Server(tmp_path)
    server.make(ROOT, "file")
    server.workspace.snapshot(server.branch, name="kept")
    node = ROOT
    for name in (".pyi", "snapshots", "kept", "file"):
        node = server.lookup(name, node).nodeid
    body = bytes(structs.OpenIn(os.O_RDONLY, 0))
    _, first = server.serve(Opcode.OPEN, body, node=node, unique=1_000)
    (handle,) = server.state.handles.files(node)
    server.state.handles.pass_through(handle, 9)
    server.ledger.commit()
    successor = Server(tmp_path, server.leave())
    for flags, wanted in (
        (os.O_RDONLY, OpenFlag.PASSTHROUGH),
        (os.O_DIRECT, OpenFlag.PASSTHROUGH | OpenFlag.DIRECT_IO),
    ):
        body = bytes(structs.OpenIn(flags, 0))
        _, answer = successor.serve(Opcode.OPEN, body, node=node, unique=again(1_000))
        opened = structs.OpenOut.from_buffer_copy(answer)
        assert (opened.open_flags, opened.backing_id) == (wanted, 9)
        assert opened.fh == structs.OpenOut.from_buffer_copy(first).fh
    # And so is whoever opens it besides.
    _, answer = successor.serve(Opcode.OPEN, bytes(structs.OpenIn(0, 0)), node=node, unique=1_002)
    assert structs.OpenOut.from_buffer_copy(answer).backing_id == 9
    successor.close()


def test_a_successor_knows_whether_the_kernel_passes_through(tmp_path):
    server = Server(tmp_path)
    assert server.transport.passed_through is None
    server.ledger.words[Word.PASSES_THROUGH] = 1
    successor = Server(tmp_path, server.leave())
    assert successor.transport.passed_through == 0
    successor.close()


def test_what_is_not_done_twice_is_what_the_model_refuses_the_second_time():
    assert Opcode.WRITE not in CHANGES
    assert Opcode.SETATTR not in CHANGES
    assert {Opcode.CREATE, Opcode.UNLINK, Opcode.RENAME2, Opcode.LINK} <= CHANGES


def test_what_was_made_and_is_gone_again_is_made_anew(tmp_path):
    """Another program restored the tree before the request was sent again."""
    server = Server(tmp_path)
    server.workspace.snapshot(server.branch, name="before")
    body = bytes(structs.MkdirIn(0o755, 0)) + b"new\0"
    assert server.serve(Opcode.MKDIR, body, unique=1_000)[0] == 0
    successor = Server(tmp_path, server.leave())
    successor.workspace.restore(successor.branch, "before")
    assert successor.serve(Opcode.MKDIR, body, unique=again(1_000))[0] == 0
    assert successor.look("new") is not None
    successor.close()


async def _synced(server: Server, messages: list[bytes]) -> dict[int, int]:
    """Sends requests at once; returns their errnos."""
    async with trio.open_nursery() as nursery:
        server.transport._nursery = nursery  # noqa: SLF001 - `run` needs a device
        for message in messages:
            server.put(message)
        return dict([(await server.answered())[:2] for _ in messages])


def dies_syncing(server: Server, messages: list[bytes], *, is_slow: bool) -> MemoryLedger:
    """Has a server die in one fsync; returns its ledger. `is_slow`: others are under way then."""

    async def sync(_: Branch) -> None:
        if REQUEST.get() == 1_000:
            os._exit(9)
        if is_slow:
            await trio.sleep_forever()

    child = os.fork()
    if child == 0:
        server.state.group_sync.sync = sync  # type: ignore[method-assign,assignment]
        trio.run(_synced, server, messages)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    return server.leave()


def test_a_request_that_ends_servers_in_a_task_is_refused(tmp_path, caplog):
    """Of two that were under way at the first death only the one that is to blame."""
    server = Server(tmp_path)
    node = server.make(ROOT, "file")
    handle = server.opened(node, os.O_RDWR).fh
    server.ledger.words[Word.BLAME] = DIED
    body = handle.to_bytes(8, "little") + bytes(8)
    first = [request(Opcode.FSYNC, body, node=node, unique=unique) for unique in (1_002, 1_000)]
    ledger = dies_syncing(server, first, is_slow=True)
    resent = [
        request(Opcode.FSYNC, body, node=node, unique=again(unique)) for unique in (1_000, 1_002)
    ]
    for _ in range(2):
        ledger = dies_syncing(Server(tmp_path, ledger), resent, is_slow=False)
    last = Server(tmp_path, ledger)
    assert trio.run(_synced, last, resent) == {again(1_000): errno.EIO, again(1_002): 0}
    refusals = [one.message for one in caplog.records if one.levelname == "ERROR"]
    assert "servers ended again and again in request 1000 (opcode 20): it gets EIO" in refusals
    last.close()


async def test_only_an_answer_says_that_a_server_is_none_of_those_that_answer_nothing(tmp_path):
    server = Server(tmp_path)
    node = server.make(ROOT, "file")
    handle = server.opened(node, os.O_RDWR).fh
    server.ledger.words[Word.UNANSWERED] = 3
    server.transport._is_unproven = True  # noqa: SLF001 - asked by `run`, which needs a device
    sync, counts = trio.Event(), []

    async def synced(_: Branch) -> None:
        counts.append(server.ledger.words[Word.UNANSWERED])
        await sync.wait()

    server.state.group_sync.sync = synced  # type: ignore[method-assign,assignment]
    async with trio.open_nursery() as nursery:
        server.transport._nursery = nursery  # noqa: SLF001
        body = handle.to_bytes(8, "little") + bytes(8)
        server.put(request(Opcode.FSYNC, body, node=node, unique=1_000))
        await trio.testing.wait_all_tasks_blocked()
        counts.append(server.ledger.words[Word.UNANSWERED])
        sync.set()
        await server.answered()
    assert (counts, server.ledger.words[Word.UNANSWERED]) == ([3, 3], 0)
    server.close()


def test_an_answer_that_nobody_asks_for_again_is_not_kept(tmp_path):
    """Its server died when it had been given, or its caller was killed."""
    server = Server(tmp_path)
    server.ledger.put(DONE_TABLE, 1_000, b"answer")
    server.ledger.put(BEGUN_TABLE, 1_002, 5)
    server.ledger.commit()
    successor = Server(tmp_path, server.leave())
    assert successor.ledger.table(DONE_TABLE) == {1_000: b"answer"}
    # The first one that is new: what is sent again comes before.
    successor.ask(Opcode.STATFS)
    assert successor.ledger.table(DONE_TABLE) == successor.ledger.table(BEGUN_TABLE) == {}
    successor.close()


def test_a_fork_that_was_made_is_that_fork_when_a_new_request_is_next(tmp_path):
    """Its task has not seen then when it was begun first."""
    server = Server(tmp_path)
    handle = server.opened(server.make(ROOT, "file")).fh
    text = b"other".ljust(ioctls.TEXT_BYTES, b"\0")
    fork = structs.IoctlIn(handle, 0, ioctls.FORK, 0, len(text), ioctls.TEXT_BYTES)
    body = bytes(fork) + text
    assert server.serve(Opcode.IOCTL, body, unique=1_000)[0] == 0
    # As if it had died before it noted that it was done.
    server.ledger.put(BEGUN_TABLE, 1_000, 1)
    server.ledger.commit()
    successor = Server(tmp_path, server.leave())
    answers = {}

    async def ask() -> None:
        async with trio.open_nursery() as nursery:
            successor.transport._nursery = nursery  # noqa: SLF001 - `run` needs a device
            successor.put(request(Opcode.IOCTL, body, unique=again(1_000)))
            successor.put(request(Opcode.STATFS, unique=1_002))
            for _ in range(2):
                unique, error, told = await successor.answered()
                answers[unique & ~RESENT] = error, told.rstrip(b"\0").endswith(b"other\n")

    trio.run(ask)
    assert answers == {1_000: (0, True), 1_002: (0, False)}
    assert successor.ledger.table(BEGUN_TABLE) == {}
    successor.close()
