"""Open files are those of Python's `io`, and live on when their names go."""

import gc
import io
import os
from pathlib import Path

import pytest

from pyi_fs.api import Workspace
from pyi_fs.api.opened import RawFile


@pytest.mark.parametrize("mode", ["r", "w", "a", "x", "r+", "w+", "a+", "x+"])
@pytest.mark.parametrize("is_there", [True, False])
def test_every_mode_does_what_the_built_in_open_does(
    work: Workspace, tmp_path: Path, mode, is_there
):
    def outcome(opener, exists, read) -> object:
        try:
            with opener(mode + "b") as file:
                done: list[object] = [file.readable(), file.writable(), file.tell()]
                if file.writable():
                    done.append(file.write(b"XY"))
                    file.seek(0)
                if file.readable():
                    done.append(file.read())
                if file.writable():
                    file.seek(1)
                    done += [file.write(b"Z"), file.truncate(4), file.seek(0, 2), file.tell()]
        except OSError as error:
            return type(error), exists()
        return done, read()

    host = tmp_path / "f"
    if is_there:
        host.write_bytes(b"12345")
        work.write("f", b"12345")
    expected = outcome(lambda kind: host.open(kind), host.exists, host.read_bytes)
    found = outcome(
        lambda kind: work.open("f", kind), lambda: work.exists("f"), lambda: work.read("f")
    )
    assert found == expected


@pytest.mark.parametrize("mode", ["", "b", "rw", "rr", "rbt", "r++", "q", "w+b+"])
def test_bad_modes_are_refused(work: Workspace, mode):
    with pytest.raises(ValueError, match="invalid mode"):
        work.open("f", mode)


def test_text_is_utf8_unless_said_otherwise(work: Workspace):
    with work.open("f", "w") as file:
        file.write("grüße\n")
    assert work.read("f") == "grüße\n".encode()
    with work.open("f") as file:
        assert list(file) == ["grüße\n"]
    with work.open("f", "w", encoding="latin-1", newline="\r\n") as file:
        file.write("ü\n")
    assert work.read("f") == b"\xfc\r\n"
    with work.open("f", errors="replace") as file:
        assert file.read() == "\ufffd\n"
    with pytest.raises(ValueError, match="binary mode"):
        work.open("f", "rb", encoding="utf-8")


def test_what_is_not_opened_for_it_is_refused(work: Workspace):
    with work.open("f", "wb") as file, pytest.raises(io.UnsupportedOperation):
        file.read()
    with work.open("f", "rb") as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"x")


def test_appends_of_two_files_do_not_overwrite_each_other(work: Workspace):
    with work.open("f", "ab") as one, work.open("f", "ab") as two:
        one.write(b"1")
        one.flush()
        two.write(b"2")
        two.flush()
        one.write(b"3")
    assert work.read("f") == b"123"


def test_a_removed_file_lives_on_while_it_is_open(work: Workspace):
    work.write("f", b"content")
    with work.open("f", "r+b") as file:
        work.remove("f")
        work.write("f", b"another")
        assert file.read() == b"content"
        file.seek(0)
        file.write(b"C")
        file.flush()
        file.seek(0)
        assert file.read() == b"Content"
        assert work.status()["unlinked"] == 1
    assert work.status()["unlinked"] == 0
    assert work.read("f") == b"another"


def test_a_file_replaced_by_a_rename_lives_on_while_it_is_open(work: Workspace):
    work.write("f", b"old")
    work.write("g", b"new")
    with work.open("f", "rb") as one, work.open("f", "rb") as two:
        work.rename("g", "f")
        assert one.read() == b"old"
        one.close()
        assert work.status()["unlinked"] == 1
        assert two.read() == b"old"
    assert work.status()["unlinked"] == 0


def test_a_restore_leaves_open_files_alone(work: Workspace):
    work.write("written", b"1")
    work.write("read", b"1")
    work.write("same", b"1")
    first = work.snapshot()
    work.write("written", b"2")
    work.write("read", b"2")
    work.write("new", b"2")
    names = ("written", "read", "same", "new")
    modes = {"written": "r+b"}
    files = {name: work.open(name, modes.get(name, "rb")) for name in names}
    work.restore(first)
    assert {name: file.read() for name, file in files.items()} == {
        "written": b"2", "read": b"2", "same": b"1", "new": b"2",
    }  # fmt: skip
    files["written"].write(b" and on")
    files["written"].flush()
    assert {name: work.read(name) for name in work.listdir()} == {
        "written": b"1", "read": b"1", "same": b"1",
    }  # fmt: skip
    work.undo()
    assert work.read("new") == b"2"
    files["written"].seek(0)
    assert files["written"].read() == b"2 and on"
    assert work.read("written") == b"2"
    for file in files.values():
        file.close()
    assert work.status()["unlinked"] == 0


def test_a_path_restored_leaves_open_files_alone(work: Workspace):
    work.write("f", b"1")
    first = work.snapshot()
    work.write("f", b"2")
    with work.open("f", "rb") as file:
        work.restore(first, "f")
        assert work.read("f") == b"1"
        assert file.read() == b"2"


def test_closing_the_workspace_writes_what_is_buffered(tmp_path: Path):
    with Workspace.open("w", store=tmp_path / "s") as work:
        file = work.open("f", "w")
        file.write("buffered")
        raw = work.open("f", "rb")
    assert file.closed
    assert raw.closed
    with Workspace.open("w", store=tmp_path / "s") as work:
        assert work.read("f") == b"buffered"


def test_a_file_that_is_forgotten_is_written_and_reaped(work: Workspace):
    file = work.open("f", "wb")
    file.write(b"forgotten")
    other = work.open("g", "wb")
    work.remove("g")
    del file, other
    gc.collect()
    assert work.read("f") == b"forgotten"
    assert work.status()["unlinked"] == 0


def test_a_file_finalized_in_the_middle_of_a_call_is_written_after_it(work: Workspace):
    """A collection may run anywhere: here while the branch appends a record."""
    holder = [work.open("late", "wb")]
    holder[0].write(b"in the buffer")
    writer = vars(work)["_branch"].writer
    assert writer is not None
    plain = writer.append

    def collecting(mutation):
        end = plain(mutation)
        holder.clear()
        gc.collect()
        return end

    writer.append = collecting
    work.mkdir("d")
    writer.append = plain
    assert holder == []
    assert work.read("late") == b"in the buffer"
    assert work.listdir() == ["d", "late"]


def test_a_raw_file_is_what_io_wants(work: Workspace):
    work.write("f", b"0123456789")
    with work.open("f", "rb") as file:
        raw = file.raw  # type: ignore[attr-defined]
        assert isinstance(raw, RawFile)
        assert raw.seekable()
        assert (raw.name, raw.mode) == ("f", "r")
        assert raw.readall() == b"0123456789"
        assert raw.seek(-3, os.SEEK_END) == 7
        assert raw.seek(1, os.SEEK_CUR) == 8
        assert raw.read(10) == b"89"
        with pytest.raises(ValueError, match="negative"):
            raw.seek(-1)
        with pytest.raises(io.UnsupportedOperation):
            raw.truncate(0)
    with pytest.raises(ValueError, match="closed"):
        raw.seek(0, os.SEEK_END)
    with work.open("f", "r+b") as file:
        file.seek(20)
        file.write(b"x")
    assert work.read("f") == b"0123456789" + bytes(10) + b"x"
