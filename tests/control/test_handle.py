"""Which reads and writes of a descriptor are new requests, and what it is told of a refusal."""

import errno

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.control.files import FILES
from pyi_fs.control.handle import ControlHandle
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.errors import (
    AccessDeniedError,
    FileTooLargeError,
    InvalidArgumentError,
    NotFoundError,
    RequestError,
)
from tests.support.control_rig import UID, Rig


def read_all(handle: ControlHandle, size: int) -> bytes:
    """Reads as `dd bs=SIZE` does: on and on until nothing comes."""
    answer = b""
    while piece := handle.read(len(answer), size):
        answer += piece
    return answer


def snapshot_count(rig: Rig) -> int:
    return rig.workspace.refresh().snapshot_count


@pytest.mark.parametrize("size", [1, 3, 4096, 1 << 20])
def test_reading_on_continues_one_answer(rig: Rig, size: int):
    rig.put("a", b"1")
    handle = rig.open(".pyi/snapshot")
    answer = read_all(handle, size)
    assert answer == rig.read(".pyi/last")
    assert snapshot_count(rig) == 1


def test_every_read_at_the_beginning_is_a_new_request(rig: Rig):
    handle = rig.open(".pyi/snapshot")
    lines = []
    for number in range(3):
        rig.put("a", b"%d" % number)
        lines.append(handle.read(0, 100))
    assert len(set(lines)) == snapshot_count(rig) == 3


def test_what_happens_meanwhile_does_not_change_a_begun_answer(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    handle = rig.open(".pyi/diff/one..")
    rig.put("b", b"1")
    first = handle.read(0, 2)
    rig.put("c", b"1")
    assert first + handle.read(2, 100) == b"A\tb\n"


def test_two_descriptors_have_answers_of_their_own(rig: Rig):
    rig.put("a", b"1")
    one, two = rig.open(".pyi/snapshot"), rig.open(".pyi/snapshot")
    first, second = one.read(0, 4), two.read(0, 100)
    assert (first + one.read(4, 100)).endswith(b"\t+1 ~0 -0\n")
    assert second.endswith(b"\tunchanged\n")


def test_reading_from_the_middle_first_takes_no_snapshot(rig: Rig):
    rig.put("a", b"1")
    assert rig.open(".pyi/snapshot").read(5, 100) == b""
    assert snapshot_count(rig) == 0
    assert rig.open(".pyi/branch").read(2, 100) == b"in\n"


def test_reading_nothing_takes_no_snapshot(rig: Rig):
    rig.put("a", b"1")
    assert rig.open(".pyi/snapshot").read(0, 0) == b""
    assert snapshot_count(rig) == 0


def test_reading_past_the_end_is_empty(rig: Rig):
    handle = rig.open(".pyi/branch")
    assert handle.read(0, 100) == b"main\n"
    assert handle.read(5, 100) == handle.read(1 << 40, 100) == b""


def test_a_command_answers_the_next_read_only(rig: Rig):
    rig.put("a", b"1")
    handle = rig.open(".pyi/snapshot")
    handle.write(0, b"one")
    first = handle.read(0, 3) + handle.read(3, 100)
    assert first.endswith(b"\t+1 ~0 -0\n")
    rig.put("a", b"2")
    assert handle.read(0, 100) != first


def test_a_refused_descriptor_gives_its_own_sentence(rig: Rig):
    one, two = rig.open(".pyi/restore"), rig.open(".pyi/drop")
    for handle, data in ((one, b"nosuch"), (two, b"main")):
        with pytest.raises(RequestError):
            handle.write(0, data)
    assert one.read(0, 5) + one.read(5, 100) == b"no snapshot 'nosuch'\n"
    assert b"at the root" in two.read(0, 100)
    assert one.read(0, 100) == two.read(0, 100) == b""


def test_the_error_file_tells_each_user_the_last_refusal(rig: Rig):
    assert rig.read(".pyi/error") == b""
    with pytest.raises(NotFoundError):
        rig.write(".pyi/restore", b"mine", uid=UID)
    with pytest.raises(NotFoundError):
        rig.write(".pyi/restore", b"roots", uid=0)
    assert rig.read(".pyi/error", uid=UID) == b"no snapshot 'mine'\n"
    assert rig.read(".pyi/error", uid=0) == b"no snapshot 'roots'\n"
    rig.write(".pyi/branch", b"x")
    assert rig.read(".pyi/error", uid=UID) == b"no snapshot 'mine'\n"


def test_refused_mkdir_and_rmdir_are_told_too(rig: Rig):
    with pytest.raises(InvalidArgumentError):
        rig.mkdir(".pyi/snapshots/1st")
    assert b"'1st'" in rig.read(".pyi/error")
    with pytest.raises(NotFoundError):
        rig.rmdir(".pyi/branches/nosuch", uid=0)
    assert b"'nosuch'" in rig.read(".pyi/error", uid=0)


def test_a_full_disk_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rig.workspace, "snapshot", full)
    handle = rig.open(".pyi/snapshot")
    with pytest.raises(OSError, match="No space"):
        handle.write(0, b"one")
    assert handle.read(0, 100) == rig.read(".pyi/error")
    with pytest.raises(OSError, match="No space"):
        handle.read(0, 100)


@pytest.mark.parametrize("offset", [1, 5, 4096, 1 << 40])
def test_a_command_elsewhere_than_at_the_beginning_is_refused(rig: Rig, offset: int):
    handle = rig.open(".pyi/branch")
    with pytest.raises(InvalidArgumentError, match="offset 0"):
        handle.write(offset, b"x")
    assert rig.ls(".pyi/branches") == ["main"]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b"good\n", b"it works\n"], "it works"),
        ([b"good\n", b"it\n", b"\n", b"works\n"], "it\n\nworks"),
        ([b"good\nit wo", b"rks"], "it works"),
        ([b"good\n", b"\xc3\xa9t\xc3\xa9\n"], "été"),
    ],
)
def test_a_message_may_come_line_by_line(rig: Rig, pieces: list[bytes], message: str):
    """As bash writes what its own printf prints."""
    rig.put("a", b"1")
    handle = rig.open(".pyi/snapshot")
    offset = 0
    for piece in pieces:
        offset += handle.write(offset, piece)
    snapshot = rig.workspace.find_snapshot("good")
    assert (snapshot.name, snapshot.message) == ("good", message)
    assert snapshot_count(rig) == 1
    assert handle.read(0, 100) == rig.read(".pyi/last")


@pytest.mark.parametrize(
    ("first", "second"),
    [(b"go", b"od"), (b"\n", b"no name\n"), (b"good\n", b"\0"), (b"good\n", b"x" * 70_000)],
)
def test_what_cannot_be_more_of_a_message_is_refused(rig: Rig, first: bytes, second: bytes):
    rig.put("a", b"1")
    handle = rig.open(".pyi/snapshot")
    offset = handle.write(0, first)
    count = rig.workspace.refresh().operation_count
    with pytest.raises(InvalidArgumentError):
        handle.write(offset, second)
    with pytest.raises(InvalidArgumentError, match="offset 0"):
        handle.write(offset, b"more")
    assert rig.workspace.refresh().operation_count == count


def test_a_read_ends_a_command(rig: Rig):
    rig.put("a", b"1")
    handle = rig.open(".pyi/snapshot")
    handle.write(0, b"good\n")
    handle.read(0, 100)
    with pytest.raises(InvalidArgumentError, match="offset 5"):
        handle.write(5, b"message")
    assert rig.workspace.find_snapshot("good").message == ""


def test_writing_nothing_is_no_command(rig: Rig):
    assert rig.open(".pyi/undo").write(0, b"") == 0


@pytest.mark.parametrize("name", ["last", "log", "status", "error", "diff/one.."])
def test_a_file_that_only_answers_cannot_be_written(rig: Rig, name: str):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    handle = rig.open(f".pyi/{name}")
    with pytest.raises(AccessDeniedError, match="only answers"):
        handle.write(0, b"x")


def test_syncing_makes_the_branch_durable(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    synced: list[object] = []
    monkeypatch.setattr(rig.workspace, "make_durable", synced.append)
    x = rig.mkdir(".pyi/branches/x")
    for path, branch in ((".pyi", rig.branch("main")), (".pyi/branches/x/.pyi", x.branch)):
        handle = rig.open(f"{path}/snapshot")
        assert handle.needs_sync
        handle.sync_blocking()
        assert synced.pop() is branch
    assert not rig.open(".pyi/last").needs_sync


REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(
            [*(name.decode() for name in sorted(FILES)), "error", "diff/one..", "diff0/1.."]
        ),
        st.sampled_from(["read", "write"]),
        st.sampled_from([0, 0, 0, 1, 4, 1 << 33]),
        st.binary(max_size=30)
        | st.sampled_from(
            [
                b"one",
                b"main",
                b"x",
                b"1",
                b"one\ta",
                b"x one --ephemeral",
                b"two\nmessage\n",
                b"\n",
                b"x" * 70_000,
                b"\0",
            ]
        ),
    ),
    max_size=12,
)


def test_a_read_that_an_answer_being_made_refuses_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "CONTROL_ANSWER_BYTES_MAX", 10)
    handle = rig.open(".pyi/log")
    assert len(handle.read(0, 10)) == 10
    with pytest.raises(FileTooLargeError):
        handle.read(10, 1)
    assert b"at most 10 bytes" in rig.read(".pyi/error")


@settings(max_examples=40)
@example([("log", "read", 1 << 33, b"\0")])
@given(REQUESTS)
def test_every_request_succeeds_or_is_refused_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, requests: list[tuple[str, str, int, bytes]]
):
    """Any bytes at any offset of any file: no other exception, and the mount goes on."""
    store = Store.open(tmp_path_factory.mktemp("fuzz") / "store")
    create_workspace(store, "work", uid=UID, gid=UID)
    rig = Rig(store)
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.mkdir(".pyi/branches/x")
    handles: dict[str, ControlHandle] = {}
    for name, verb, offset, data in requests:
        handle = handles.get(name) or rig.open(f".pyi/{name}")
        handles[name] = handle
        try:
            if verb == "read":
                assert len(handle.read(offset, len(data))) <= len(data)
            else:
                assert handle.write(offset, data) == len(data)
        except RequestError:
            told = handle.read(0, 10_000) if verb == "write" else rig.read(".pyi/error")
            assert len(told) > 10
            assert told.endswith(b"\n")
    assert rig.read(".pyi/head").endswith(b"\n")
    rig.put("still", b"here")
    rig.close()
    store.close()
