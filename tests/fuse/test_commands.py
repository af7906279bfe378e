"""A command's changes and its answer are one record; what it raises is none."""

import threading
from typing import Any

import pytest

from pyi_fs.control.files import BEGUN_NS
from pyi_fs.errors import BusyError
from pyi_fs.fuse.commands import BEGUN_TABLE, DONE_TABLE, INTENT_TABLE, REQUEST, Commands
from pyi_fs.fuse.ledger import NoLedger, Word
from pyi_fs.model.operation import RestorePath
from tests.support.fuse_rig import OWNER, ROOT, run_in_thread
from tests.support.takeover_rig import Server


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


@pytest.fixture
def request_number():
    token = REQUEST.set(42)
    yield 42
    REQUEST.reset(token)


def test_an_answer_is_kept_until_it_has_gone_out(server, request_number):
    words, ledger, commands = server.ledger.words, server.ledger, server.state.commands
    during = []

    def command():
        during.append((words[Word.COMMAND], ledger.table("other")))
        ledger.put("other", 1, "changed")
        return b"answer"

    assert commands.do(server.session.root, command, bytes) == b"answer"
    assert during == [(request_number, {})]
    assert ledger.table(DONE_TABLE) == {request_number: b"answer"}
    assert ledger.table("other") == {1: "changed"}
    assert words[Word.COMMAND] == 0
    commands.answered(request_number)
    ledger.commit()
    assert ledger.table(DONE_TABLE) == {}


def test_what_is_refused_is_not_kept(server, request_number):
    def refuse():
        raise BusyError("no")

    with pytest.raises(BusyError):
        server.state.commands.do(server.session.root, refuse, bytes)
    assert server.ledger.table(DONE_TABLE) == {}
    assert server.ledger.words[Word.COMMAND] == 0
    assert request_number


def test_what_a_command_leaves_to_do_is_done_when_it_was_answered(
    server, request_number, monkeypatch
):
    afterwards, done = server.workspace.afterwards, []
    monkeypatch.setattr(server.workspace.log, "fold", lambda: done.append("folded"))

    def command():
        afterwards.add(lambda: done.append("later"))
        return b"answer"

    server.state.commands.do(server.session.root, command, bytes)
    assert done == []
    server.state.commands.answered(request_number)
    assert done == ["later", "folded"]
    # Nobody says that this one was answered.
    afterwards.add(lambda: done.append("now"))
    assert done == ["later", "folded", "now"]


def test_what_a_refused_command_leaves_to_do_is_done_at_once(server, request_number):
    done = []

    def refuse():
        server.workspace.afterwards.add(lambda: done.append("left"))
        raise BusyError("no")

    with pytest.raises(BusyError):
        server.state.commands.do(server.session.root, refuse, bytes)
    assert done == ["left"]
    assert request_number


def test_what_fails_after_the_answer_is_logged(server, request_number, caplog):
    def command():
        server.workspace.afterwards.add(lambda: dict[int, int]()[0])
        return b"answer"

    server.state.commands.do(server.session.root, command, bytes)
    server.state.commands.answered(request_number)
    assert "BUG: what a command left to do" in caplog.text


def test_where_nothing_is_kept_a_command_is_just_done(rig):
    assert Commands(rig.session, NoLedger()).do(None, lambda: 5, int) == 5


def test_the_log_tells_before_what_it_writes(server, request_number):
    seen = []

    def command():
        server.workspace.snapshot(server.branch, name="named")
        seen.append(server.ledger.words[Word.COMMAND_LOGS])
        server.workspace.snapshot(server.branch, automatic="aside")
        seen.append(server.ledger.words[Word.COMMAND_LOGS])

    server.state.commands.do(server.session.root, command, lambda _: True)
    (_, newest), *_ = server.workspace.log.newest_first()
    assert seen == [newest.time_ns] * 2
    assert request_number


def test_a_restored_path_is_noted_whole(server, request_number):
    server.make(ROOT, "file")
    server.workspace.snapshot(server.branch, name="first")
    server.names.remove(ROOT, b"file", OWNER, directory=False)
    server.state.commands.do(
        server.session.root,
        lambda: server.workspace.restore(server.branch, "first", b"file"),
        lambda _: True,
    )
    assert set(server.ledger.table(INTENT_TABLE)) == {0}
    (_, newest), *_ = server.workspace.log.newest_first()
    assert isinstance(newest, RestorePath)
    assert request_number


async def test_what_a_thread_does_is_noted_in_the_loop(server, request_number):
    """And when it was begun, for who has to do it again."""
    commands = server.state.commands
    told: list[Any] = []

    def work():
        told.append((threading.get_ident(), BEGUN_NS.get(), server.ledger.table(BEGUN_TABLE)))
        return b"done"

    def note():
        told.append(threading.get_ident())

    assert await commands.do_in_thread(run_in_thread, work, bytes, note) == b"done"
    (thread, begun, noted), loop = told
    assert thread != loop == threading.get_ident()
    assert (begun, set(noted)) == (0, {request_number})
    assert server.ledger.table(DONE_TABLE) == {request_number: b"done"}
    assert server.ledger.table(BEGUN_TABLE) == {}
    server.ledger.put(BEGUN_TABLE, request_number, 77)
    server.ledger.commit()
    again = Commands(server.session, server.ledger)
    await again.do_in_thread(run_in_thread, work, bytes, note)
    assert told[2][1] == 77
