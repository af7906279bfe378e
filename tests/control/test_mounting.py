"""The file `mount`: what is asked of the process, and what that answers."""

import pytest

from pyi_fs.control.commands import MountCommand
from pyi_fs.errors import BusyError, UnsupportedError
from tests.support.control_rig import Rig


class Process:
    """Implements `control.beside.Beside`: remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[MountCommand] = []

    def serve(self, command: MountCommand) -> bytes:
        if command.branch == "busy":
            raise BusyError("it is in use")
        self.asked.append(command)
        return command.mountpoint

    def served(self) -> list[tuple[str, bytes]]:
        return [("work/main", b"/mnt/work"), ("other@3", b"/mnt/a\tb")]


@pytest.fixture
def process(rig: Rig) -> Process:
    rig.session.beside = Process()
    return rig.session.beside


def test_what_is_written_is_asked_for_and_answered_with_where_it_is(rig: Rig, process: Process):
    handle = rig.write(".pyi/mount", b"other/try /mnt/a\tb\n")
    assert process.asked == [MountCommand("other", "try", None, b"/mnt/a\tb")]
    assert handle.read(0, 100) == b'"/mnt/a\\tb"\n'


def test_a_refusal_is_told(rig: Rig, process: Process):
    with pytest.raises(BusyError):
        rig.write(".pyi/mount", b"busy /mnt/b\n")
    assert rig.read(".pyi/error") == b"it is in use\n"
    assert process.asked == []


def test_reading_tells_what_the_process_serves(rig: Rig, process: Process):
    assert rig.read(".pyi/mount") == b'work/main\t/mnt/work\nother@3\t"/mnt/a\\tb"\n'


def test_what_serves_one_mount_only_says_so(rig: Rig):
    assert rig.read(".pyi/mount") == b""
    with pytest.raises(UnsupportedError, match="serves one mount only"):
        rig.write(".pyi/mount", b"try /mnt/b\n")
