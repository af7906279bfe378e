"""Control commands by ioctl through a real kernel."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pyi_fs import Workspace
from pyi_fs.control import ioctls
from pyi_fs.fuse.transports import DIRECT
from tests.support.mounting import Mount

pytestmark = [pytest.mark.mount, pytest.mark.slow]
# pyfuse3 has no hook; `test_differences.py` says what happens there.
TRANSPORTS = [DIRECT]
_NUMBERS = count()


def ask(place: Path, number: int, text: str = "", flags: int = os.O_RDONLY) -> tuple[int, str]:
    """Returns errno and what was handed out of one ioctl on a path that is opened for it."""
    array = bytearray(text.encode().ljust(ioctls.TEXT_BYTES, b"\0"))
    descriptor = os.open(place, flags)
    try:
        fcntl.ioctl(descriptor, number, array)
    except OSError as error:
        return error.errno or 0, array.rstrip(b"\0").decode()
    finally:
        os.close(descriptor)
    return 0, array.rstrip(b"\0").decode()


@pytest.fixture
def file(mount: Mount) -> Iterator[Path]:
    """Gives a file of its own in the mount's root."""
    file = mount.path / f"file-{next(_NUMBERS)}"
    file.write_text("first")
    yield file
    file.unlink()


def test_one_call_on_any_open_file(mount: Mount, file: Path) -> None:
    number, line = ask(file, ioctls.SNAPSHOT)
    assert (number, line) == (0, mount.ask("last"))
    file.write_text("later")
    assert ask(mount.path, ioctls.SNAPSHOT, f"{file.name}\nby ioctl")[0] == 0
    taken = line.split("\t")[0]
    assert ask(mount.path / ".pyi" / "status", ioctls.RESTORE, taken) == (0, f"{taken}\n")
    assert file.read_text() == "first"
    assert ask(mount.path / ".pyi", ioctls.RESTORE, f"{file.name}\n")[0] == 0
    assert file.read_text() == "later"
    assert ask(file, ioctls.SNAPSHOT, flags=os.O_RDWR)[0] == 0


def test_a_fork_of_a_mount_that_goes_on(mount: Mount, file: Path) -> None:
    with file.open("a") as opened:
        opened.write(", unsynced")
        opened.flush()
        assert ask(mount.path, ioctls.FORK, f"fork-{file.name}") == (0, f"fork-{file.name}\n")
        opened.write(", and after")
    with Workspace.open(f"fork-{file.name}", store=mount.path.parent / "store") as fork:
        assert fork.read(file.name) == b"first, unsynced"
    assert file.read_text() == "first, unsynced, and after"


def test_a_refusal_has_its_errno_and_sentence(mount: Mount, file: Path) -> None:
    number, sentence = ask(file, ioctls.RESTORE, "nothing")
    assert number == errno.ENOENT
    assert sentence == mount.ask("error")
    assert "nothing" in sentence


def test_others_may_not(mount: Mount, file: Path) -> None:
    file.chmod(0o666)
    before = mount.ask("last")
    program = f"""if True:
        import fcntl, os
        os.setresuid(1001, 1001, 1001)
        fcntl.ioctl(open({str(file)!r}), {ioctls.SNAPSHOT}, bytearray(1024))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "PermissionError" in done.stderr
    assert mount.ask("last") == before


def test_it_is_asked_every_time(mount: Mount, file: Path) -> None:
    """A refused ioctl must not end them: the kernel would remember ENOSYS of other requests."""
    for _ in range(2):
        assert ask(file, 0x80086601)[0] == errno.ENOTTY
    assert ask(file, ioctls.SNAPSHOT)[0] == 0
