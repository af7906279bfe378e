"""One call at a time, whoever calls; errors are those that Python people know."""

import errno
import os
import threading
from pathlib import Path

import pytest

import pyi_fs
from pyi_fs.api import Workspace
from pyi_fs.api.session import default_store, translated
from pyi_fs.errors import BusyError, CorruptSegmentError, NotFoundError


def test_threads_take_turns(work: Workspace):
    """Each makes, appends to, renames and removes files of its own.

    The tree at the end is that of one after the other.
    """
    failures: list[Exception] = []

    def run(number: int) -> None:
        try:
            for count in range(40):
                work.mkdir(f"t{number}", exist_ok=True)
                work.write(f"t{number}/f{count}", b"%d" % count)
                work.append("log", b"%d\n" % number)
                if count % 4 == 0:
                    work.rename(f"t{number}/f{count}", f"t{number}/r{count}")
                if count % 10 == 9:
                    work.remove(f"t{number}/f{count}")
                    work.snapshot()
        except (OSError, RuntimeError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(work.read("log").split()) == sorted([b"%d" % n for n in range(4)] * 40)
    for number in range(4):
        assert len(work.listdir(f"t{number}")) == 36
        assert work.read(f"t{number}/r8") == b"8"


def test_a_call_in_the_middle_of_another_is_refused(work: Workspace):
    """As from a signal handler."""
    with vars(work)["_session"].turn(), pytest.raises(RuntimeError, match="reentrant"):
        work.read("f")
    work.write("f", b"x")


def test_another_process_has_to_open_its_own(work: Workspace, monkeypatch):
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    with pytest.raises(RuntimeError, match="opened by another process"):
        work.listdir()
    monkeypatch.undo()
    assert work.listdir() == []


def test_errors_have_errno_sentence_and_paths():
    with pytest.raises(FileNotFoundError) as caught, translated("a", "b"):
        raise NotFoundError("no such thing")
    error = caught.value
    assert (error.errno, error.strerror, error.filename, error.filename2) == (
        errno.ENOENT, "no such thing", "a", "b",
    )  # fmt: skip
    with pytest.raises(OSError, match="held") as busy, translated():
        raise BusyError("held")
    assert (busy.value.errno, busy.value.filename) == (errno.EBUSY, None)
    with pytest.raises(OSError, match="wrong bytes at offset 3") as damaged, translated("a"):
        raise CorruptSegmentError("scratch", 3)
    assert damaged.value.errno == errno.EIO


def test_damage_is_an_error_of_the_file(work: Workspace, tmp_path: Path):
    work.write("f", b"x" * 1000)
    work.sync()
    (segment,) = (tmp_path / "store" / "layers").glob("*/*/scratch-000000")
    data = segment.read_bytes()
    segment.write_bytes(b"y" + data[1:])
    with pytest.raises(OSError, match="wrong bytes") as caught:
        work.read("f")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "f")
    segment.write_bytes(data)
    assert work.read("f") == b"x" * 1000


def test_the_default_store_is_that_of_the_command_lines(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("PYI_STORE", str(tmp_path / "elsewhere"))
    assert default_store() == tmp_path / "elsewhere"
    with Workspace.open("w") as work:
        work.write("f", b"x")
    assert (tmp_path / "elsewhere" / "workspaces" / "w").is_dir()
    monkeypatch.delenv("PYI_STORE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_store() == tmp_path / ".local" / "share" / "pyi"


def test_the_package_has_the_workspace_lazily():
    assert pyi_fs.Workspace is Workspace
    name = "workspace"
    with pytest.raises(AttributeError, match="no attribute 'workspace'"):
        getattr(pyi_fs, name)
