"""The control directory under whatever a program may do to it: an errno and a sentence, always.

What is drawn goes to every control file of a real mount. The mount must not log a mistake of ours,
hang or end; `Mount` looks at its log when the test is over.
"""

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyi_fs.control.commands import COMMAND_BYTES_MAX
from tests.support.control_noise import EXPECTED, Client, files, steps
from tests.support.mounting import ROOT, Mount, mounted

pytestmark = [pytest.mark.mount, pytest.mark.slow]
SETTINGS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
SERVER_DESCRIPTORS = 1024
PROCESSES = 4


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    with mounted(tmp_path, descriptors=SERVER_DESCRIPTORS) as mount:
        (mount.path / "file").write_text("text")
        (mount.path / "d").mkdir()
        mount.snapshot()
        yield mount


def assert_sentence(mount: Mount) -> None:
    """What `.pyi/error` says is one line for people."""
    text = (mount.path / ".pyi" / "error").read_bytes()
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    assert len(text.split()) > 2
    assert b"Traceback" not in text


@given(st.data())
@SETTINGS
def test_anything_done_to_a_control_file(mount: Mount, data: st.DataObject):
    """Writes of any bytes at any place, reads, syncs, truncations, on several descriptors."""
    client = Client(mount.path)
    try:
        for step in data.draw(st.lists(steps, min_size=1, max_size=12)):
            number = client.do(step)
            assert number in EXPECTED, (step, errno.errorcode.get(number, number))
            # A descriptor that is only for reading is refused by the kernel: we are not asked.
            if number not in (0, errno.EBADF) and step[0] == "write":
                assert_sentence(mount)
    finally:
        client.close()
    assert json.loads(mount.ask("status"))["workspace"] == "w"


def refused(call: Callable[[], object]) -> int:
    """Returns the errno of a call that may be refused, 0 if it was done."""
    try:
        call()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


@pytest.mark.parametrize("length", [COMMAND_BYTES_MAX, COMMAND_BYTES_MAX + 1, 1 << 20])
def test_a_command_of_any_length(mount: Mount, length: int):
    """At the limit and beyond it, all at once and in pieces, to every file."""
    for name, size in product(sorted(set(files) - {"snapshots", "branches"}), (length, 4096)):
        with (
            contextlib.suppress(FileNotFoundError, PermissionError),
            (mount.path / ".pyi" / name).open("r+b", buffering=0) as file,
        ):
            for start in range(0, length, size):
                number = refused(partial(file.write, b"n" * min(size, length - start)))
                assert number in EXPECTED, (name, size)
                if number:
                    assert_sentence(mount)
                    break
    assert json.loads(mount.ask("status"))["branch"] == "main"


@given(st.binary(min_size=1, max_size=300).filter(lambda name: not {0, 47} & set(name)))
@example(b"a" * 255)
@example(b"\xff..\x80")
@example("..٣".encode())
@SETTINGS
def test_any_name_in_any_control_directory(mount: Mount, name: bytes):
    """Looked up, made, removed, opened: below `snapshots`, `branches`, `diff` and beside them."""
    control = os.fsencode(mount.path / ".pyi")
    for directory in (b"", b"snapshots", b"branches", b"diff", b"diff0"):
        path = os.path.join(control, directory, name)
        for call in (os.stat, os.mkdir, os.listdir, os.rmdir, os.unlink, os.readlink):
            assert refused(partial(call, path)) in EXPECTED, path
    assert json.loads(mount.ask("status"))["branch"] == "main"


def test_several_processes_at_once(mount: Mount, is_long: bool):
    """Each with its own sequence, on the same files and on the tree they restore."""
    count = 4000 if is_long else 150
    command = [sys.executable, "-m", "tests.support.control_noise", str(mount.path), str(count)]
    workers = [
        subprocess.Popen(
            [*command, str(seed)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for seed in range(PROCESSES)
    ]
    said = [worker.communicate(timeout=600)[0].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES, said
    assert json.loads(mount.ask("status"))["workspace"] == "w"


def test_thousands_of_open_descriptors(mount: Mount):
    """Five times as many as the server may have itself: files, control files, directories."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    held: list[int] = []
    try:
        control = mount.path / ".pyi"
        for number in range(1000):
            path = mount.path / "d" / str(number)
            held.append(os.open(path, os.O_CREAT | os.O_RDWR))
            os.write(held[-1], b"x")
            held.append(os.open(mount.path / "d", os.O_RDONLY | os.O_DIRECTORY))
            held += [os.open(control / name, os.O_RDWR) for name in ("snapshot", "restore")]
            held.append(os.open(control / "snapshots", os.O_RDONLY | os.O_DIRECTORY))
            os.pread(held[-3], 100, 0) if number % 50 == 0 else None
        status = json.loads(mount.ask("status"))
        assert status["open_files"] >= 1000
        taken = mount.snapshot()
        mount.control("restore", taken)
        assert (mount.path / "d" / "999").read_bytes() == b"x"
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(held) == 5000
    # Releases come by themselves; an unmount would take those away that have not been answered.
    for _ in range(10_000):
        if not json.loads(mount.ask("status"))["open_files"]:
            break
    assert os.listdir(mount.path / ".pyi" / "snapshots")
